/** What is in use: heap and buffers, after everything unreachable has gone. Needs --expose-gc. */
import { setTimeout as delay } from 'node:timers/promises'

/** Buffers are given back by another thread, some time after their owners have gone. */
const QUIET_ROUNDS = 5
const ROUNDS_MAX = 50

export async function bytesInUse(): Promise<number> {
  if (!globalThis.gc) throw new Error('needs --expose-gc')
  let least = Number.POSITIVE_INFINITY
  for (let round = 0, quiet = 0; quiet < QUIET_ROUNDS && round < ROUNDS_MAX; round++, quiet++) {
    globalThis.gc()
    await delay(5)
    const { heapUsed, external } = process.memoryUsage()
    if (heapUsed + external < least - 1024) quiet = 0
    least = Math.min(least, heapUsed + external)
  }
  return least
}
