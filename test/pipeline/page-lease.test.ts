/** What leaves when the page is hidden, and what becomes of it: with our exporter over a `fetch` that the test answers. */
import { SpanStatusCode } from '@opentelemetry/api'
import { beforeEach, expect, test, vi } from 'vitest'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import { PAGE } from '../../src/page.ts'
import type { BatchSpanProcessor } from '../../src/processor.ts'
import { namesOf } from '../helpers/gates.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { end, names, spanNamed } from '../helpers/processors.ts'
import { hasSettled, microtasks } from '../helpers/settling.ts'

const BUDGET_BYTES = 65_536

interface Sent {
  readonly names: string[]
  readonly bytes: number
  readonly keepalive: boolean
  readonly headers: Record<string, string>
  readonly signal: AbortSignal
  answer(status?: number, body?: Uint8Array): Promise<void>
  refuse(): Promise<void>
}

let sent: Sent[]

beforeEach(() => {
  sent = []
  vi.stubGlobal('document', new EventTarget())
})

const fetch = (_url: string, init: RequestInit) =>
  new Promise<Response>((resolve, reject) => {
    const body = init.body as Uint8Array
    sent.push({
      names: init.headers && 'content-encoding' in init.headers ? [] : namesOf(body),
      bytes: body.length,
      keepalive: init.keepalive === true,
      headers: init.headers as Record<string, string>,
      signal: init.signal as AbortSignal,
      answer: async (status = 200, answer = new Uint8Array()) => {
        resolve(
          new Response(answer as BodyInit, { status, headers: { 'content-type': 'application/x-protobuf' } }),
        )
        await settle()
      },
      refuse: async () => {
        reject(new TypeError('Failed to fetch'))
        await settle()
      },
    })
  })

/** A response's body is read by more than microtasks. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

function openProcessor(
  options: BatchSpanProcessorOptions = {},
  exporterOptions: OTLPTraceExporterOptions = {},
): BatchSpanProcessor {
  const exporter = new OTLPTraceExporter({ url: 'http://collector/v1/traces', fetch, ...exporterOptions })
  return watchedProcessor(exporter, {
    scheduledDelayMillis: 0,
    disableAutoFlushOnDocumentHide: true,
    ...options,
  })
}

function endError(processor: BatchSpanProcessor, name: string): void {
  processor.onEnd(spanNamed(name, { status: { code: SpanStatusCode.ERROR } }))
}

/** Nothing is sent before the page is hidden. */
const QUIET = { maxQueueSize: 20_000, maxExportBatchSize: 20_000, maxExportBatchBytes: 2 ** 30 }

test('B55: hiding the page sends one keepalive request within the same task', async () => {
  const processor = openProcessor()
  end(processor, ...names(3))
  processor[PAGE]('hidden')
  expect(sent).toMatchObject([{ names: names(3), keepalive: true }])
  expect(expectBalance(processor)).toMatchObject({ pending: 3, inFlight: 3 })
  await sent[0]!.answer()
  expect(expectBalance(processor)).toMatchObject({ exported: 3, pending: 0, inFlight: 0 })
})

test('B55: it is not compressed: a page that is being left does not come back to what it awaits', () => {
  const processor = openProcessor({}, { compression: 'gzip' })
  end(processor, 'a')
  processor[PAGE]('left')
  expect(sent[0]!.headers).not.toHaveProperty('content-encoding')
})

test('B55: what does not fit waits in order, and is sent when the page is back', async () => {
  const processor = openProcessor(QUIET)
  for (let i = 0; i < 2_000; i++) {
    if (i % 500 === 250) endError(processor, `error-${i}`)
    else end(processor, `span-${i}`)
  }
  processor[PAGE]('left')
  processor[PAGE]('hidden')
  expect(sent).toHaveLength(1)
  expect(sent[0]!.bytes).toBeLessThanOrEqual(BUDGET_BYTES)
  expect(sent[0]!.names).toEqual(
    expect.arrayContaining(['error-250', 'error-750', 'error-1250', 'error-1750', 'span-1999']),
  )
  expect(expectBalance(processor).inFlight).toBe(sent[0]!.names.length)
  await sent[0]!.answer()
  expect(sent).toHaveLength(1)
  processor[PAGE]('shown')
  const rest = sent[1]!.names
  expect(rest.toSorted((a, b) => Number(a.slice(5)) - Number(b.slice(5)))).toEqual(rest)
  expect(new Set([...sent[0]!.names, ...rest]).size).toBe(2_000)
  await sent[1]!.answer()
  expect(expectBalance(processor)).toMatchObject({ exported: 2_000, pending: 0 })
})

test('B55: all processors of a page share the 64 KiB, and 30 requests', async () => {
  const processors = Array.from({ length: 40 }, () => openProcessor())
  for (const processor of processors) end(processor, 'a')
  for (const processor of processors) processor[PAGE]('hidden')
  expect(sent).toHaveLength(30)
  for (const each of sent) await each.answer()
  const large = [openProcessor(QUIET), openProcessor(QUIET)]
  sent = []
  for (const processor of large) {
    end(processor, ...names(300))
    processor[PAGE]('hidden')
  }
  const withHeaders = sent.reduce((sum, { bytes }) => sum + bytes, 0)
  expect(withHeaders).toBeLessThanOrEqual(BUDGET_BYTES)
  expect(sent).toHaveLength(2)
  for (const each of sent) await each.answer()
})

test('B55: ordinary exports of a page take half of the 64 KiB, and leave the other half', async () => {
  const processor = openProcessor({ maxQueueSize: 20_000 })
  end(processor, ...names(1_000))
  await microtasks()
  expect(sent).toMatchObject([{ keepalive: true }])
  expect(sent[0]!.bytes).toBeLessThan(34_000)
  processor[PAGE]('left')
  expect(sent[1]!.keepalive).toBe(true)
  expect(sent[1]!.bytes).toBeGreaterThan(25_000)
  expect(sent[0]!.bytes + sent[1]!.bytes).toBeLessThanOrEqual(BUDGET_BYTES)
  for (let i = 0; i < sent.length; i++) await sent[i]!.answer()
  expect(new Set(sent.flatMap((each) => each.names)).size).toBe(sent.flatMap((each) => each.names).length)
})

test('B55: an export that does not fit travels without keepalive', async () => {
  const processor = openProcessor(QUIET)
  end(processor, ...names(1_500))
  processor.flush()
  expect(sent).toMatchObject([{ keepalive: false }])
  expect(sent[0]!.bytes).toBeGreaterThan(BUDGET_BYTES)
  await sent[0]!.answer()
})

test('B55: a flush covers what left with the page, and waits for it', async () => {
  const processor = openProcessor(QUIET)
  end(processor, ...names(3))
  processor[PAGE]('hidden')
  const flushed = processor.flush()
  end(processor, 'later')
  await sent[0]!.answer()
  expect(await flushed).toMatchObject({ status: 'success', exported: 3, pending: 0 })
  expect(sent).toHaveLength(1)
})

test('B55: what the browser refuses is put back, and leaves by the ordinary way', async () => {
  const processor = openProcessor()
  end(processor, ...names(3))
  processor[PAGE]('hidden')
  end(processor, 'later')
  await sent[0]!.refuse()
  expect(sent).toMatchObject([{ keepalive: true }, { names: names(3), keepalive: false }])
  expectBalance(processor)
  await sent[1]!.answer()
  expect(expectBalance(processor)).toMatchObject({ exported: 3, pending: 1 })
})

test('B55: an ordinary export that the browser refuses goes again at once, without keepalive', async () => {
  const processor = openProcessor()
  end(processor, 'a')
  const flushed = processor.flush()
  await sent[0]!.refuse()
  expect(sent).toMatchObject([{ keepalive: true }, { keepalive: false }])
  await sent[1]!.answer()
  expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
})

test('B55: the outcome is applied as for any batch: finally refused, too large, partially rejected', async () => {
  const processor = openProcessor()
  end(processor, ...names(3))
  processor[PAGE]('hidden')
  await sent[0]!.answer(400)
  expect(expectBalance(processor)).toMatchObject({ failed: 3, pending: 0 })

  end(processor, ...names(3))
  processor[PAGE]('left')
  await sent[1]!.answer(200, Uint8Array.from([0x0a, 2, 0x08, 2]))
  expect(expectBalance(processor)).toMatchObject({ exported: 1, rejected: 2, pending: 0 })

  end(processor, ...names(40))
  processor[PAGE]('left')
  await sent[2]!.answer(413)
  expect(sent.slice(3)).toMatchObject([{ names: names(40).slice(0, 20) }])
  await sent[3]!.answer()
  await sent[4]!.answer()
  expect(expectBalance(processor)).toMatchObject({ exported: 41, pending: 0 })

  // Too large once is too large for a while.
  end(processor, ...names(40))
  processor[PAGE]('left')
  expect(sent[5]!.names.length).toBeLessThanOrEqual(20)
  expect(sent[5]!.names.at(-1)).toBe('span-39')
  await sent[5]!.answer()
})

test('B55: what the backend refuses for now is put back at its place, and counts against the caps', async () => {
  const processor = openProcessor({ ...QUIET, maxQueueSize: 1_500 })
  end(processor, ...names(1_500))
  processor[PAGE]('hidden')
  const { length } = sent[0]!.names
  expect(length).toBeLessThan(1_000)
  end(processor, ...names(length - 1, 'later-'))
  await sent[0]!.answer(503)
  // The oldest spans went, which were never out.
  expect(expectBalance(processor)).toMatchObject({ pending: 1_500, dropped: { queue_full: length - 1 } })
  await processor.flush({ timeoutMillis: 0 })
  await settle()
  for (let i = 1; i < 4; i++) await sent[i]?.answer()
  const received = sent.slice(1).flatMap((each) => each.names)
  expect(received).not.toContain('span-0')
  expect(received).toContain('span-1499')
  expect(expectBalance(processor)).toMatchObject({ exported: 1_500, pending: 0 })
})

test('B55: a flush is not settled while older spans wait than those that were put back', async () => {
  const processor = openProcessor(QUIET)
  end(processor, 'first')
  processor.flush({ timeoutMillis: 0 })
  end(processor, ...names(300, 'covered-'))
  const flushed = processor.flush({ timeoutMillis: 20_000 })
  end(processor, ...names(2_000))
  processor[PAGE]('left')
  expect(sent[1]!.names).toContain('span-1999')
  expect(sent[1]!.names).not.toContain('covered-299')
  await sent[1]!.answer(503)
  await sent[0]!.answer()
  expect(await hasSettled(flushed)).toBe(false)
  for (let i = 2; i < 5; i++) await sent[i]?.answer()
  expect(await flushed).toMatchObject({ status: 'success', exported: 301, pending: 0 })
})

test('B55: a batch that awaits its retry leaves, too', async () => {
  const processor = openProcessor()
  end(processor, 'first')
  processor.flush({ timeoutMillis: 0 })
  await sent[0]!.answer(503)
  end(processor, 'second')
  processor[PAGE]('left')
  await microtasks()
  expect(sent.slice(1)).toMatchObject([
    { names: ['second'], keepalive: true },
    { names: ['first'], keepalive: true },
  ])
  await sent[1]!.answer()
  await sent[2]!.answer()
  expect(expectBalance(processor)).toMatchObject({ exported: 2, pending: 0 })
})

test('B38: an open breaker is heeded when the page may live on, and not when it is left', async () => {
  const processor = openProcessor({ circuitBreaker: { failureThreshold: 1 } })
  end(processor, 'a')
  processor.flush({ timeoutMillis: 0 })
  await sent[0]!.answer(503)
  end(processor, 'b')
  processor[PAGE]('hidden')
  expect(sent).toHaveLength(1)
  processor[PAGE]('left')
  expect(sent[1]).toMatchObject({ names: ['b'] })
  await sent[1]!.answer()
  for (let i = 2; i < sent.length; i++) await sent[i]!.answer()
})

test('B39: the rate limit holds when the page is left, too', async () => {
  const processor = openProcessor({ rateLimit: { maxExportsPerSecond: 0.01 } })
  end(processor, 'a')
  processor.flush({ timeoutMillis: 0 })
  await sent[0]!.answer()
  end(processor, 'b')
  processor[PAGE]('left')
  await microtasks()
  expect(sent).toHaveLength(1)
})

test('B11: shutdown at its deadline gives up what left with the page, and aborts it', async () => {
  const processor = openProcessor()
  end(processor, 'a')
  processor[PAGE]('hidden')
  await processor.shutdown({ timeoutMillis: 0 })
  expect(sent[0]!.signal.aborted).toBe(true)
  expect(expectBalance(processor)).toMatchObject({ pending: 0, dropped: { shutdown_timeout: 1 } })
  await sent[0]!.answer()
  expect(expectBalance(processor)).toMatchObject({ exported: 0, pending: 0 })
  processor[PAGE]('hidden')
  expect(sent).toHaveLength(1)
})

test('B55: with encodeAt flush hiding the page flushes, oldest first', async () => {
  const processor = openProcessor({ encodeAt: 'flush' })
  end(processor, 'a', 'b')
  processor[PAGE]('left')
  expect(sent).toMatchObject([{ names: ['a', 'b'], keepalive: true }])
  await sent[0]!.answer()
})

test('B55: headers that a function makes without waiting leave within the same task', async () => {
  const headers = async () => ({ authorization: 'x'.repeat(1_000) })
  const processor = openProcessor(QUIET, { headers })
  end(processor, ...names(1_000))
  processor[PAGE]('left')
  await microtasks()
  expect(sent).toMatchObject([{ keepalive: true }])
  expect(sent[0]!.bytes).toBeGreaterThan(60_000)
  expect(sent[0]!.bytes).toBeLessThan(BUDGET_BYTES - 1_000)
  await sent[0]!.answer()
})
