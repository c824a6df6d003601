/** Timers of the lifecycle helpers, alike on Node (objects) and elsewhere (numbers). */

/** A timer that was started. */
export interface Timer {
  cancel(): void
}

/**
 * Calls `callback` once, `delayMillis` from now.
 * @param keepsProcessAlive - Where work is left to do when it fires.
 */
export function startTimer(callback: () => void, delayMillis: number, keepsProcessAlive: boolean): Timer {
  const handle: unknown = setTimeout(callback, delayMillis)
  if (!keepsProcessAlive) (handle as { unref?: () => void }).unref?.()
  return { cancel: () => clearTimeout(handle as Parameters<typeof clearTimeout>[0]) }
}
