import { describe, expect, it, vi } from 'vitest'
import type { EncodedBatch } from '../../src/types.ts'
import { captureDiag } from '../helpers/captured-diag.ts'

/** With a log of its own: what was warned about once elsewhere is news here. */
async function freshCreateCompressor(): Promise<
  typeof import('../../src/transport/gzip.ts')['createCompressor']
> {
  vi.resetModules()
  return (await import('../../src/transport/gzip.ts')).createCompressor
}

function batchOf(...bytes: number[]): EncodedBatch {
  return { body: Uint8Array.from(bytes), spanCount: 1 }
}

const reverse = async (body: Uint8Array): Promise<Uint8Array> => body.toReversed()
const WARNING = 'tailrace: gzip is not available here: requests are sent uncompressed'

describe('createCompressor', () => {
  it('B37: compresses once per batch, however many attempts there are', async () => {
    const work = vi.fn(reverse)
    const compress = (await freshCreateCompressor())(work)
    const batch = batchOf(1, 2)
    const first = await compress(batch)
    expect(first).toEqual(Uint8Array.from([2, 1]))
    expect(await compress(batch)).toBe(first)
    expect(work).toHaveBeenCalledOnce()
    expect(await compress(batchOf(1, 2))).not.toBe(first)
  })

  it('B37: without compression it warns once and sends as it is', async () => {
    const log = captureDiag()
    const compress = (await freshCreateCompressor())(undefined)
    expect(await compress(batchOf(1))).toBeUndefined()
    expect(await compress(batchOf(2))).toBeUndefined()
    expect(log).toEqual([WARNING])
  })

  it('B37: when compression fails it warns, sends as it is, and tries again the next time', async () => {
    const log = captureDiag()
    const work = vi.fn(reverse).mockRejectedValueOnce(new Error('out of memory'))
    const compress = (await freshCreateCompressor())(work)
    const batch = batchOf(1, 2)
    expect(await compress(batch)).toBeUndefined()
    expect(await compress(batch)).toEqual(Uint8Array.from([2, 1]))
    expect(log).toEqual([WARNING])
  })

  it('B51: an attempt that died while compressing does not hang the next', async () => {
    const work = vi.fn(reverse).mockReturnValueOnce(new Promise(() => {}))
    const compress = (await freshCreateCompressor())(work)
    const batch = batchOf(1, 2)
    void compress(batch)
    expect(await compress(batch)).toEqual(Uint8Array.from([2, 1]))
  })
})
