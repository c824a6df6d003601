/**
 * Streaming tail workers: the handler is called with the first event of what it watches, and what it returns with the
 * others, the last of which is `outcome`.
 * https://developers.cloudflare.com/workers/observability/logs/tail-workers/
 */
import { hasMethods } from './checks.ts'

type Call = <Result>(handle: () => Result) => Result
type Listener = (this: unknown, event: unknown) => unknown

/**
 * Of what a `tailStream` handler returned, the same, but that the last event passes through `call`, too.
 * @param call - Calls a handler and flushes when it is over.
 */
export function watchTailStream(returned: unknown, call: Call): unknown {
  if (typeof returned === 'function') {
    const listener = returned as Listener
    return (event: unknown) => (isOutcome(event) ? call(() => listener(event)) : listener(event))
  }
  if (typeof returned !== 'object' || returned === null) return returned
  if (hasMethods(returned, 'then')) {
    return (returned as Promise<unknown>).then((settled) => watchTailStream(settled, call))
  }
  return new Proxy(returned, {
    get(listeners, name) {
      const listener: unknown = Reflect.get(listeners, name)
      if (name === 'outcome') {
        return (event: unknown) =>
          call(() =>
            typeof listener === 'function' ? (listener as Listener).call(listeners, event) : undefined,
          )
      }
      // They may have fields that a proxy has not.
      return typeof listener === 'function' ? listener.bind(listeners) : listener
    },
  })
}

function isOutcome(event: unknown): boolean {
  return (event as { event?: { type?: unknown } } | null | undefined)?.event?.type === 'outcome'
}
