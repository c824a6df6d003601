/** Fastify: flushes once for each response. */
import { type FlushAfterResponseOptions, type NodeResponse, ResponseFlusher } from './http-response.ts'

export type { FlushAfterResponseOptions, NodeResponse } from './http-response.ts'
export type { FlushableProcessor, FlushableProvider } from './target.ts'

/** As much of a Fastify instance as is used. */
export interface FastifyLike {
  addHook(
    name: 'onRequest',
    hook: (request: unknown, reply: { readonly raw: NodeResponse }, done: () => void) => void,
  ): unknown
}

/**
 * A plugin that flushes once for each response, after it has closed: the server span of the HTTP instrumentation is in
 * what is flushed, also when the client hung up. For servers that scale to zero; one that runs on needs none of it.
 * It covers all routes that the instance registers after it, as a hook added to the instance itself does.
 *
 * @throws TypeError | RangeError that names the option and its value. The plugin never throws.
 *
 * @example
 * ```ts
 * import { fastify } from 'fastify'
 * import { flushAfterResponse } from 'tailrace/fastify'
 *
 * const app = fastify()
 * app.register(flushAfterResponse({ processor }))
 * ```
 */
export function flushAfterResponse(
  options: FlushAfterResponseOptions,
): (instance: FastifyLike, options: unknown, done: () => void) => void {
  const flusher = new ResponseFlusher('tailrace/fastify', options)
  const plugin = (instance: FastifyLike, _options: unknown, done: () => void) => {
    // Not `onResponse`, which comes on `finish`.
    instance.addHook('onRequest', (_request, reply, next) => {
      flusher.watch(reply.raw)
      next()
    })
    done()
  }
  return Object.assign(plugin, {
    // Otherwise it would cover only what is registered within it: https://fastify.dev/docs/latest/Reference/Plugins/
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'tailrace',
  })
}
