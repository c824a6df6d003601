/** Responses whose body is made while it is sent. On Workers it takes cloudflare-body.ts. */

/**
 * The same response, with a body that calls `onOver` before it ends: read to its end, failed, or cancelled; `undefined`
 * where there is no body to watch.
 */
export function watchBody(result: unknown, onOver: () => Promise<unknown>): Response | undefined {
  if (typeof Response !== 'function' || !(result instanceof Response)) return undefined
  const { body, status, statusText, headers } = result
  if (body === null || body.locked) return undefined
  const reader = body.getReader()
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          await onOver()
          controller.close()
        } catch (error) {
          await onOver()
          controller.error(error)
        }
      },
      async cancel(reason) {
        await Promise.all([onOver(), reader.cancel(reason)])
      },
    },
    // Nothing is read ahead of whoever reads.
    { highWaterMark: 0 },
  )
  return new Response(stream, { status, statusText, headers })
}
