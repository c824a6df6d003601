/** gzip, once for each batch. */
import { warnOnce } from '../environment.ts'
import type { EncodedBatch } from '../types.ts'
import type { Transport } from './transport.ts'

/** Compresses a batch; `undefined` means that it goes out as it is. Never rejects. */
export type Compressor = (batch: EncodedBatch) => Promise<Uint8Array | undefined>

/**
 * Makes a compressor that remembers its results for as long as the batch lives, so that attempts share them. It
 * remembers bytes, not promises: on Workers a promise of one request hangs in another.
 * @param compress - What the runtime offers; without it, or when it fails, there is one warning and no compression.
 */
export function createCompressor(compress: Transport['compress']): Compressor {
  const done = new WeakMap<EncodedBatch, Uint8Array>()
  return async (batch) => {
    let bytes = done.get(batch)
    if (!bytes) {
      try {
        bytes = await compress?.(batch.body)
      } catch {
        // The warning below is all there is to say: uncompressed is always acceptable.
      }
      if (bytes) done.set(batch, bytes)
      else warnOnce('gzip is not available here: requests are sent uncompressed')
    }
    return bytes
  }
}
