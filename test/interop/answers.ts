import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { onTestFinished } from 'vitest'

/** An answer that this process got from somebody's server. */
export interface Answer {
  /** When its request left, and when it came, on the monotonic clock. */
  readonly requestedAt: number
  readonly at: number
  readonly status: number | undefined
  readonly retryAfter: string | undefined
}

/** The answers from a port of the loopback interface, as they come: seen from Node's side, without a hand on the traffic. */
export function answersFrom(port: number): {
  readonly answers: readonly Answer[]
  /** Settles once there are as many. */
  answered(count: number): Promise<void>
} {
  const answers: Answer[] = []
  const came = new EventTarget()
  const starts = new WeakMap<object, number>()
  const started = (message: unknown): void => {
    starts.set((message as { request: ClientRequest }).request, performance.now())
  }
  const finished = (message: unknown): void => {
    const { request, response } = message as { request: ClientRequest; response: IncomingMessage }
    if (request.getHeader('host') !== `127.0.0.1:${port}`) return
    answers.push({
      requestedAt: starts.get(request) ?? Number.NaN,
      at: performance.now(),
      status: response.statusCode,
      retryAfter: response.headers['retry-after'],
    })
    came.dispatchEvent(new Event('answer'))
  }
  subscribe('http.client.request.start', started)
  subscribe('http.client.response.finish', finished)
  onTestFinished(() => {
    unsubscribe('http.client.request.start', started)
    unsubscribe('http.client.response.finish', finished)
  })
  return {
    answers,
    async answered(count) {
      while (answers.length < count) await once(came, 'answer')
    },
  }
}
