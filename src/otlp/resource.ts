import type { Attributes } from '@opentelemetry/api'
import { isOwn } from './values.ts'
import type { Writer } from './writer.ts'

/**
 * Writes the attributes of a resource. One that cannot be encoded is left out, since it would cost every span of the
 * process; so is one that is a promise, which has not settled or never will.
 */
export function writeSettled(
  writer: Writer,
  attributes: Attributes | undefined,
  write: (key: string, value: unknown) => void,
): void {
  for (const key in attributes) {
    const before = writer.at
    try {
      if (!isOwn(attributes, key)) continue
      const value: unknown = attributes[key]
      if (typeof (value as PromiseLike<unknown> | undefined)?.then !== 'function') write(key, value)
    } catch {
      writer.at = before
    }
  }
}
