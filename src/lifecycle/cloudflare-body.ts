/** Responses whose body is made while it is sent. */

/** Whoever makes a body that the client has given up notices it at his next write, and has so long to end his spans. */
export const CUT_GRACE_MILLIS = 1000

type Transform = new () => { readonly readable: ReadableStream; readonly writable: WritableStream }

/**
 * The same response, with a body that tells when it is over: read to its end, failed, or given up by the client.
 *
 * `undefined` where there is nothing to wait for: no body; one that is complete already, since its length is known; one
 * that was fetched and is passed on, or is compressed, which would have to be read and compressed again.
 *
 * @param onEnd - Called before the body ends for the client, which it does when the promise has settled.
 * @param onOver - Called once, afterwards, with whether the body was cut short.
 */
export function watchBody(
  result: unknown,
  onEnd: () => Promise<unknown> | undefined,
  onOver: (isCut: boolean) => void,
): Response | undefined {
  if (typeof Response !== 'function' || !(result instanceof Response)) return undefined
  const { body } = result
  if (body === null || body.locked || result.url !== '' || hasKnownLength(body)) return undefined
  if ((result.headers.get('content-encoding') ?? 'identity') !== 'identity') return undefined
  const { readable, writable } = new (identityTransform())()
  pump(body.getReader(), writable.getWriter(), onEnd).then(onOver)
  return new Response(readable, result)
}

/**
 * Byte by byte what came in. In Workers neither `pipeTo` nor a `ReadableStream` of one's own would do: the former is not
 * implemented between two such streams, and the latter does not hear of clients that go away.
 */
function identityTransform(): Transform {
  const { IdentityTransformStream } = globalThis as { IdentityTransformStream?: Transform }
  return IdentityTransformStream ?? TransformStream
}

/** @returns Whether the body was cut short. Never rejects. */
async function pump(
  reader: ReadableStreamDefaultReader,
  writer: WritableStreamDefaultWriter,
  onEnd: () => Promise<unknown> | undefined,
): Promise<boolean> {
  const giveUp = (reason: unknown) => {
    reader.cancel(reason).catch(() => {})
    writer.abort(reason).catch(() => {})
  }
  writer.closed.catch(giveUp)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      await writer.write(value)
    }
    await onEnd()
    await writer.close()
    return false
  } catch (error) {
    giveUp(error)
    return true
  }
}

/** Workers know it of bodies that were given whole, and show it to `console.log` only. */
function hasKnownLength(body: ReadableStream): boolean {
  const symbols = Object.getOwnPropertySymbols(Object.getPrototypeOf(body))
  const length = symbols.find(({ description }) => description === 'length')
  return length !== undefined && (body as unknown as Record<symbol, unknown>)[length] !== undefined
}
