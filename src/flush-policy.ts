/**
 * What the host of the program has to say about a flush that names no options: a lifecycle helper leaves its word on
 * `globalThis`, the processor asks for it. It is global because whoever flushes without options knows no helper (an
 * instrumentation that calls `provider.forceFlush()`), the helper may have been given a provider instead of our
 * processor, there may be several processors, and helper and processors may come from different copies of this package
 * (ESM and CommonJS, a layer and a bundle).
 */
import type { FlushOptions } from './types.ts'

/** What a flush without options may take. */
export interface FlushAllowance {
  /** It may take no longer, in milliseconds. */
  readonly timeoutMillis: number
  /** Present where the caller must not wait: takes the flush over, and sees it through. */
  readonly defer?: ((flush: (options: FlushOptions) => Promise<unknown>) => void) | undefined
}

/** Answers `undefined` while no invocation is active. */
export type FlushPolicy = () => FlushAllowance | undefined

/** The property of `globalThis` that holds the `FlushPolicy`, where there is one. */
const FLUSH_POLICY = Symbol.for('tailrace.flush-policy')

/** What the host allows just now; `undefined` when it has nothing to say. Never throws. */
export function hostAllowance(): FlushAllowance | undefined {
  const policy = (globalThis as { [FLUSH_POLICY]?: FlushPolicy })[FLUSH_POLICY]
  try {
    return policy?.()
  } catch {
    return undefined // Not ours, whoever left it there.
  }
}
