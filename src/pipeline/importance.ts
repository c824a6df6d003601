/** Which spans go first when only some can. */
import { FLAG_ERROR, FLAG_LOCAL_ROOT } from '../types.ts'

/** From the most important kind to the least. */
const KINDS = [FLAG_ERROR | FLAG_LOCAL_ROOT, FLAG_ERROR, FLAG_LOCAL_ROOT, 0]

/**
 * Chooses records, given by their lengths and flags, oldest first: errors, then local roots, then all others, and of
 * each kind the newest first, as when the queue is full. What does not fit is passed over.
 * @returns The places of those that are chosen.
 */
export function mostImportant(
  lengths: readonly number[],
  flags: readonly number[],
  maxCount: number,
  maxBytes: number,
): Set<number> {
  const chosen = new Set<number>()
  let left = maxBytes
  for (const kind of KINDS) {
    for (let i = lengths.length - 1; i >= 0 && chosen.size < maxCount; i--) {
      const length = lengths[i] as number
      if (flags[i] !== kind || length > left) continue
      chosen.add(i)
      left -= length
    }
  }
  return chosen
}
