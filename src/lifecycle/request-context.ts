/**
 * The request contexts that platforms leave on the global object: an object whose `get` answers with the context of the
 * request that is running, which may have a `waitUntil`. Vercel sets the first (it is what `@vercel/functions` reads),
 * and the platforms that host Next.js the second.
 */

/** Keeps the environment alive until the promise has settled. */
export type WaitUntil = (promise: Promise<unknown>) => unknown

const CONTEXTS = [Symbol.for('@vercel/request-context'), Symbol.for('@next/request-context')]

interface RequestContext {
  get?(): { waitUntil?: WaitUntil } | undefined
}

function contextWaitUntils(): WaitUntil[] {
  const globals = globalThis as unknown as Record<symbol, RequestContext | undefined>
  return CONTEXTS.flatMap((key) => {
    try {
      const context = globals[key]?.get?.()
      // Called as a method: some platforms throw "Illegal invocation" for any other call.
      return typeof context?.waitUntil === 'function' ? [(promise) => context.waitUntil?.(promise)] : []
    } catch {
      return []
    }
  })
}

/**
 * Asks the platform to keep the request's environment alive until `promise`, which must not reject, has settled.
 *
 * @param given - The caller's own `waitUntil`, asked first. The one of `@vercel/functions` does nothing, silently, where
 * there is no request context; so it counts only where there is one.
 * @returns Whether somebody does. Never throws.
 */
export function keepAlive(promise: Promise<unknown>, given?: WaitUntil): boolean {
  const contexts = contextWaitUntils()
  let isGivenAsked = false
  if (given !== undefined) {
    try {
      given(promise)
      isGivenAsked = true
    } catch {
      // The context's own, then.
    }
  }
  if (isGivenAsked) return contexts.length > 0
  return contexts.some((waitUntil) => {
    try {
      waitUntil(promise)
      return true
    } catch {
      return false
    }
  })
}
