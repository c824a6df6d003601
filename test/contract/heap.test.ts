import { describe, expect, it } from 'vitest'
import { runScript } from '../helpers/child-process.ts'
import { gatedExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end, names } from '../helpers/processors.ts'

/** Three heap snapshots take 5 s on an idle machine, and many times that on a busy one. */
const SNAPSHOTS_MILLIS = 90_000

/** What a child process sees on its own heap with 500 and with 2,500 spans queued. */
interface HeapCounts {
  readonly pending: number[]
  readonly spanObjects: number[]
  readonly objects: number[]
}

async function countOnHeap(exporter: string): Promise<HeapCounts> {
  const { code, output } = await runScript(
    `
    import { text } from 'node:stream/consumers'
    import { getHeapSnapshot } from 'node:v8'
    import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
    import { BatchSpanProcessor, OTLPTraceExporter } from './src/index.ts'
    const stock = { export: (spans, done) => done({ code: 0 }), shutdown: async () => {} }
    const otlp = new OTLPTraceExporter({ url: 'http://collector.test/v1/traces', fetch: async () => new Response() })
    const processor = new BatchSpanProcessor(${exporter}, {
      scheduledDelayMillis: 0,
      maxQueueSize: 5_000,
      maxExportBatchSize: 5_000,
    })
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('heap')
    function endSpans(count) {
      for (let i = 0; i < count; i++) {
        const span = tracer.startSpan('GET /orders/' + i, { attributes: { 'http.request.method': 'GET', order: i } })
        span.addEvent('event', { at: i })
        span.end()
      }
    }
    async function look() {
      global.gc()
      const { snapshot, nodes, strings } = JSON.parse(await text(getHeapSnapshot()))
      const fields = snapshot.meta.node_fields
      const types = snapshot.meta.node_types[0]
      const [typeAt, nameAt] = [fields.indexOf('type'), fields.indexOf('name')]
      let objects = 0
      let spanObjects = 0
      for (let at = 0; at < nodes.length; at += fields.length) {
        const type = types[nodes[at + typeAt]]
        if (!['object', 'array', 'string', 'concatenated string', 'sliced string', 'number', 'closure'].includes(type)) continue
        objects++
        if (strings[nodes[at + nameAt]] === 'SpanImpl') spanObjects++
      }
      return { pending: processor.stats().pending, spanObjects, objects }
    }
    // The first spans bring the code, the caches and the segments.
    endSpans(2_500)
    await processor.flush()
    endSpans(500)
    await look()
    const few = await look()
    endSpans(2_000)
    const many = await look()
    console.log(JSON.stringify(Object.fromEntries(Object.keys(few).map((key) => [key, [few[key], many[key]]]))))
  `,
    { nodeOptions: ['--expose-gc'], timeoutMillis: SNAPSHOTS_MILLIS },
  )
  expect(code, output).toBe(0)
  return JSON.parse(output)
}

describe('the heap', { timeout: SNAPSHOTS_MILLIS + 10_000 }, () => {
  it('B18: 2,000 more queued spans leave no object each on it, and no span at all', async () => {
    const { pending, spanObjects, objects } = await countOnHeap('otlp')
    expect(pending).toEqual([500, 2_500])
    // The class itself is there, of course.
    expect(spanObjects[1]).toBe(spanObjects[0])
    expect(spanObjects[1]).toBeLessThan(10)
    expect(objects[1]! - objects[0]!).toBeLessThan(200)
  })

  it('the same count sees the spans that wait for a stock exporter', async () => {
    const { pending, spanObjects, objects } = await countOnHeap('stock')
    expect(pending).toEqual([500, 2_500])
    // Of the 2,500 that were sent before none is left.
    expect(spanObjects[0]).toBeLessThan(510)
    expect(spanObjects[1]! - spanObjects[0]!).toBe(2_000)
    expect(objects[1]! - objects[0]!).toBeGreaterThan(2_000)
  })
})

describe.each(['stock', 'encoded'] as const)('memory, with a %s exporter', (kind) => {
  it('B21: a queue of 1,000,000 allocates nothing for the spans that it does not hold', () => {
    const before = process.memoryUsage().arrayBuffers
    const processors = Array.from({ length: 10 }, () =>
      watchedProcessor(gatedExporter(kind), { maxQueueSize: 1_000_000, maxExportBatchSize: 1_000_000 }),
    )
    for (const processor of processors) end(processor, 'a')
    // A segment of 64 KiB, or a chunk of 256 spans, each.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * 40_000)
  })

  it('B21: however full the queue is, one more span never moves the others', () => {
    const processor = watchedProcessor(gatedExporter(kind), {
      maxQueueSize: 1_000_000,
      maxExportBatchSize: 1_000_000,
      maxQueueBytes: 2 ** 31 - 1,
      maxExportBatchBytes: 2 ** 31 - 1,
      scheduledDelayMillis: 0,
    })
    let most = 0
    for (const name of names(20_000)) {
      const before = arrayBufferBytes()
      end(processor, name)
      most = Math.max(most, arrayBufferBytes() - before)
    }
    expect(processor.stats()).toMatchObject({ pending: 20_000 })
    // Never more than one segment, or one chunk, at a time: nothing doubles, nothing is copied over.
    expect(most).toBeLessThanOrEqual(70_000)
  })
})

function arrayBufferBytes(): number {
  return process.memoryUsage().arrayBuffers
}
