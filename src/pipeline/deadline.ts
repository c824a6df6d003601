/**
 * Time. Every deadline is on the monotonic clock, so that setting the wall clock changes nothing. No timer keeps a
 * process alive unless somebody waits on it, and each one is cleared by whoever started it.
 */

/** Milliseconds on a clock that only goes forward. Looked up at each call, so that fake clocks work. */
export function monotonicNow(): number {
  return performance.now()
}

/** The longest delay that timers take, in milliseconds: 2^31 − 1. */
export const MAX_DELAY_MILLIS = 2_147_483_647

/** A timer that was started. */
export interface Timer {
  cancel(): void
}

/** For a timer that is not running. */
export const NO_TIMER: Timer = { cancel() {} }

/**
 * Calls `callback` once, `delayMillis` from now.
 * @param keepsProcessAlive - Only for timers that a caller waits on.
 */
export function startTimer(callback: () => void, delayMillis: number, keepsProcessAlive = false): Timer {
  const handle: unknown = setTimeout(callback, Math.min(Math.max(delayMillis, 0), MAX_DELAY_MILLIS))
  // Browsers and workerd have numbers for handles.
  if (!keepsProcessAlive && typeof handle === 'object' && handle !== null && 'unref' in handle) {
    ;(handle as { unref(): void }).unref()
  }
  return { cancel: () => clearTimeout(handle as Parameters<typeof clearTimeout>[0]) }
}

/** Waits for `promise`, which must not reject, unless the signal is aborted first. */
export async function unlessAborted(
  promise: Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal === undefined) {
    await promise
    return
  }
  if (signal.aborted) return
  let onAbort = () => {}
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve
    signal.addEventListener('abort', onAbort)
  })
  await Promise.race([promise, aborted])
  signal.removeEventListener('abort', onAbort)
}
