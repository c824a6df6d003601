/** What a user's own test looks like, with the kit of `tailrace/testing`. */
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { expectDelivered, FakePlatform, InMemoryCollector } from 'tailrace/testing'
import { expect, test } from 'vitest'

test('the spans of a checkout survive a backend that is busy', async () => {
  const collector = new InMemoryCollector()
  const platform = new FakePlatform({ fetch: collector.fetch })
  const processor = new BatchSpanProcessor(new OTLPTraceExporter({ fetch: platform.fetch }))
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('shop')

  collector.script({ kind: 'status', status: 503 }, { kind: 'network_error' }) // then it accepts
  const { response, ended } = platform.request((context) => {
    tracer.startSpan('checkout', { attributes: { 'order.id': 7 } }).end()
    context.waitUntil(processor.flush({ timeoutMillis: 10_000 }))
    return 'thank you'
  })

  expect(await response).toBe('thank you')
  expect(await ended).toEqual({ cutOff: 0, rejections: [] })
  expectDelivered(processor, collector)
  expect(collector.spans[0]).toMatchObject({ name: 'checkout', attributes: { 'order.id': 7 } })
})
