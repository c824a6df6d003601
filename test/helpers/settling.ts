import { vi } from 'vitest'

/** Whether the promise has settled by now, all microtasks run. */
export async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = () => {
    settled = true
  }
  promise.then(note, note)
  await microtasks()
  return settled
}

/** What the promise settles with once the fake clock has gone forward by `millis`. */
export async function settledBy<T>(promise: Promise<T>, millis: number): Promise<T> {
  const [result] = await Promise.all([promise, vi.advanceTimersByTimeAsync(millis)])
  return result
}

/** Lets everything that needs no timer and no I/O happen. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 50; i++) await undefined
}
