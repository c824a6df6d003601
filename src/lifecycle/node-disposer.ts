/** Undoes what returned it: a function, and something for `using`, where Node has `Symbol.dispose` (from 20.5). */
export interface Disposer {
  (): void
  [Symbol.dispose](): void
}

export function disposer(dispose: () => void): Disposer {
  const symbol: typeof Symbol.dispose | undefined = Symbol.dispose
  return Object.assign(dispose, symbol === undefined ? undefined : { [symbol]: dispose }) as Disposer
}
