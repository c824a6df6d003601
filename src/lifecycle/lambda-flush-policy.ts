/** What flushes without options may take while an invocation is on: the word of this helper to the processors. */
import type { FlushAllowance, FlushPolicy } from '../flush-policy.ts'
import type { Invocation } from './lambda-invocation.ts'

const FLUSH_POLICY = Symbol.for('tailrace.flush-policy')

/** Those that run, and those that have ended since the last one began: whoever wraps outermost flushes after us. */
const invocations = new Set<Invocation>()
let isInstalled = false

/** Leaves the policy where processors look for it. */
export function installFlushPolicy(): void {
  if (isInstalled) return
  isInstalled = true
  const host = globalThis as { [FLUSH_POLICY]?: FlushPolicy }
  // Another copy of this helper may have been here before.
  const previous = host[FLUSH_POLICY]
  host[FLUSH_POLICY] = () => allowance() ?? previous?.()
}

/** An invocation has begun. */
export function watch(invocation: Invocation): void {
  for (const earlier of invocations) if (earlier.isOver) invocations.delete(earlier)
  invocations.add(invocation)
}

function allowance(): FlushAllowance | undefined {
  const requestId = activeRequestId()
  const own = [...invocations].find((invocation) => invocation.requestId === requestId)
  if (own && requestId !== undefined) return own.allowance()
  let least: FlushAllowance | undefined
  for (const invocation of invocations) {
    const other = invocation.allowance()
    if (other && (least === undefined || other.timeoutMillis < least.timeoutMillis)) least = other
  }
  return least
}

interface InvokeStore {
  getRequestId?(): string
}

/** The invocation that the running code belongs to, where the runtime client says so (since its version 4). */
function activeRequestId(): string | undefined {
  const { awslambda } = globalThis as { awslambda?: { InvokeStore?: InvokeStore } }
  return awslambda?.InvokeStore?.getRequestId?.()
}
