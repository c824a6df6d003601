import { readFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { failover } from '../../src/fan-out.ts'
import { OTLPTraceExporter } from '../../src/index.ts'
import type { KafkaRecord } from '../../src/kafka/producer.ts'
import { splitByTrace } from '../../src/kafka/split.ts'
import { KafkaTraceExporter, type KafkaTraceExporterOptions } from '../../src/kafka.ts'
import { ProtobufEncoder } from '../../src/otlp/protobuf.ts'
import type { ReadableSpan } from '../../src/types.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { answers, startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeProtobuf, type OtlpSpan } from '../helpers/otlp-schema.ts'
import { end, names, spanNamed } from '../helpers/processors.ts'
import { encodeAll } from '../helpers/records.ts'
import { sdkSpans } from '../helpers/spans.ts'
import { spanOf } from '../helpers/traces.ts'

type Answer = (record: KafkaRecord) => unknown

/** A producer that remembers what it was sent. */
function producerThat(answer: Answer = () => {}) {
  const records: KafkaRecord[] = []
  return {
    records,
    async send(record: KafkaRecord) {
      records.push(record)
      return answer(record)
    },
  }
}

/** Spans with everything that is around them. */
function flatten(body: Uint8Array): { span: OtlpSpan; around: unknown }[] {
  return decodeProtobuf(body).resourceSpans.flatMap(({ scopeSpans, ...resource }) =>
    scopeSpans.flatMap(({ spans, ...scope }) => spans.map((span) => ({ span, around: { resource, scope } }))),
  )
}

const spansIn = (records: readonly KafkaRecord[]) =>
  records.flatMap(({ messages }) => messages.flatMap(({ value }) => flatten(value)))
const namesIn = (records: readonly KafkaRecord[]) => spansIn(records).map(({ span }) => span.name)

function open(options: Partial<KafkaTraceExporterOptions> & { answer?: Answer } = {}) {
  const { answer, ...rest } = options
  const producer = producerThat(answer)
  const processor = watchedProcessor(new KafkaTraceExporter({ producer, ...rest }), {
    scheduledDelayMillis: 0,
  })
  return { producer, processor }
}

describe('the Kafka exporter', () => {
  it('produces one message a batch to otlp_spans, without a key, for all replicas in sync', async () => {
    const { producer, processor } = open()
    end(processor, ...names(600))
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 600 })
    expect(producer.records).toHaveLength(2)
    expect(producer.records[0]).toEqual({
      topic: 'otlp_spans',
      acks: -1,
      messages: [{ topic: 'otlp_spans', value: expect.any(Buffer) }],
    })
    expect(namesIn(producer.records)).toEqual(names(600))
  })

  it("passes on topic, acks and compression, the latter in the client's own terms", async () => {
    const { producer, processor } = open({ topic: 'traces', acks: 1, compression: 'zstd' })
    end(processor, 'a')
    await processor.flush()
    expect(producer.records).toMatchObject([{ topic: 'traces', acks: 1, compression: 'zstd' }])
  })

  it('partitionByTraceId: one message a trace, its key the trace id in hexadecimal digits', async () => {
    const { producer, processor } = open({ partitionByTraceId: true })
    for (let i = 0; i < 60; i++) processor.onEnd(spanOf(i % 7, `span-${i}`))
    expect(await processor.flush()).toMatchObject({ exported: 60 })
    expect(producer.records).toHaveLength(1)
    const { messages } = producer.records[0]!
    expect(messages).toHaveLength(7)
    for (const { key, value } of messages) {
      expect(new Set(flatten(value).map(({ span }) => span.traceId))).toEqual(new Set([String(key)]))
    }
    expect(namesIn(producer.records).toSorted()).toEqual(names(60).toSorted())
  })

  it.each([false, true])(
    'leaves the messages of a client alone that still holds them, whatever is sent afterwards (by trace: %s)',
    async (partitionByTraceId) => {
      const { producer, processor } = open({ partitionByTraceId })
      for (let batch = 0; batch < 20; batch++) {
        for (let i = 0; i < 100; i++) processor.onEnd(spanOf(i % 7, `span-${100 * batch + i}`))
        await processor.flush()
      }
      expect(namesIn(producer.records).toSorted()).toEqual(names(2_000).toSorted())
    },
  )

  it('leaves them alone also where another destination is done with the same batch', async () => {
    const producer = producerThat()
    const collector = await startCollector()
    onTestFinished(() => collector.stop())
    collector.otherwise(answers(503))
    const exporters = [new OTLPTraceExporter({ url: collector.url }), new KafkaTraceExporter({ producer })]
    const processor = watchedProcessor(failover(exporters), { scheduledDelayMillis: 0 })
    for (let batch = 0; batch < 5; batch++) {
      for (let i = 0; i < 100; i++) processor.onEnd(spanNamed(`span-${100 * batch + i}`))
      await processor.flush()
    }
    expect(namesIn(producer.records).toSorted()).toEqual(names(500).toSorted())
  })

  it.each([
    ['a batch', false],
    ['the messages of one send together', true],
  ])(
    'maxMessageBytes: %s is never larger, and every span gets through',
    async (_what, partitionByTraceId) => {
      const { producer, processor } = open({ partitionByTraceId, maxMessageBytes: 4_000 })
      for (let i = 0; i < 300; i++) processor.onEnd(spanOf(i % 20, `span-${i}`))
      expect(await processor.flush()).toMatchObject({ status: 'success', exported: 300 })
      for (const { messages } of producer.records) {
        expect(messages.reduce((sum, { value }) => sum + value.length, 0)).toBeLessThanOrEqual(4_000)
      }
      expect(producer.records.length).toBeGreaterThan(3)
      expect(namesIn(producer.records).toSorted()).toEqual(names(300).toSorted())
    },
  )

  it.each([false, true])(
    'B17: a span that alone is too large is dropped alone (by trace: %s)',
    async (partitionByTraceId) => {
      const { producer, processor } = open({ partitionByTraceId, maxMessageBytes: 4_000 })
      end(processor, 'a', 'b'.repeat(5_000), 'c')
      expect(await processor.flush()).toMatchObject({ exported: 2, dropped: 1 })
      expect(expectBalance(processor)).toMatchObject({ dropped: { span_too_large: 1 } })
      expect(namesIn(producer.records)).toEqual(['a', 'c'])
    },
  )

  it.each([
    ['kafkajs', { type: 'MESSAGE_TOO_LARGE', code: 10, retriable: false }],
    [
      'kafkajs, retries exhausted',
      { name: 'KafkaJSNumberOfRetriesExceeded', cause: { type: 'MESSAGE_TOO_LARGE' } },
    ],
    [
      '@platformatic/kafka',
      { code: 'PLT_KFK_MULTIPLE', errors: [{ errors: [{ apiId: 'MESSAGE_TOO_LARGE' }] }] },
    ],
  ])('B35: what the broker finds too large is halved, as %s says it', async (_client, details) => {
    const { producer, processor } = open({
      answer: (record) => {
        if (namesIn([record]).length > 2) throw Object.assign(new Error('too large'), details)
      },
    })
    end(processor, ...names(8))
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 8 })
    expect(namesIn(producer.records.slice(-1))).toHaveLength(2)
  })

  it('B57: a producer that fails loses nothing: the batch waits and is sent again', async () => {
    vi.useFakeTimers()
    let isDown = true
    const { producer, processor } = open({
      answer: () => {
        if (isDown) throw new Error('KafkaJSConnectionError: Connection error: connect ECONNREFUSED')
      },
    })
    end(processor, 'a')
    const flushed = processor.flush({ timeoutMillis: 100 })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await flushed).toMatchObject({
      pending: 1,
      error: { message: expect.stringContaining('ECONNREFUSED') },
    })
    isDown = false
    await vi.advanceTimersByTimeAsync(60_000)
    expect(expectBalance(processor)).toMatchObject({ exported: 1 })
    expect(new Set(namesIn(producer.records))).toEqual(new Set(['a']))
  })

  it('B28: a send that outlasts its attempt is joined by the next one, not made again', async () => {
    vi.useFakeTimers()
    let answer = () => {}
    const { producer, processor } = open({
      timeoutMillis: 1_000,
      answer: () =>
        new Promise<void>((resolve) => {
          answer = resolve
        }),
    })
    end(processor, 'a')
    processor.flush({ timeoutMillis: 0 })
    await vi.advanceTimersByTimeAsync(1_300)
    expect(producer.records).toHaveLength(1)
    answer()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(producer.records).toHaveLength(1)
    expect(expectBalance(processor)).toMatchObject({ exported: 1, pending: 0 })
  })

  it('B28: a send that never settles is given up after two attempts, and the batch is sent anew', async () => {
    vi.useFakeTimers()
    let sends = 0
    const { producer, processor } = open({
      timeoutMillis: 1_000,
      answer: () => (++sends === 1 ? new Promise(() => {}) : undefined),
    })
    end(processor, 'a')
    processor.flush({ timeoutMillis: 0 })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(namesIn(producer.records)).toEqual(['a', 'a'])
    expect(expectBalance(processor)).toMatchObject({ exported: 1, pending: 0 })
  })

  it('B12: used after its own shutdown it fails at once, without a message', async () => {
    const producer = producerThat()
    const exporter = new KafkaTraceExporter({ producer })
    await exporter.shutdown()
    const result = await new Promise((resolve) => exporter.export([spanNamed('a')], resolve))
    expect(result).toMatchObject({ code: 1, error: { code: 'exporter_shutdown' } })
    expect(producer.records).toEqual([])
  })

  it('is an ordinary exporter under processors of others', async () => {
    const producer = producerThat()
    const exporter = new KafkaTraceExporter({ producer })
    expect(await new Promise((resolve) => exporter.export([spanNamed('a')], resolve))).toEqual({ code: 0 })
    expect(namesIn(producer.records)).toEqual(['a'])
  })

  it.each<[string, object | null]>([
    ['options must be an object, not null', null],
    ['producer must be a producer with send, not undefined', {}],
    ['topic must be a name, not ""', { topic: '' }],
    ['partitionByTraceId must be a boolean, not 1', { partitionByTraceId: 1 }],
    ['maxMessageBytes must be an integer from 1 to 2147483647, not 0', { maxMessageBytes: 0 }],
    ['maxMessageBytes must be an integer from 1 to 2147483647, not "1"', { maxMessageBytes: '1' }],
    ['acks must be -1, 0 or 1, not 2', { acks: 2 }],
    ['timeoutMillis must be an integer from 1 to 2147483647, not 1.5', { timeoutMillis: 1.5 }],
  ])('B48: KafkaTraceExporter: %s', (message, options) => {
    const producer = message.startsWith('producer') ? undefined : producerThat()
    const given = options && { producer, ...options }
    expect(() => new KafkaTraceExporter(given as KafkaTraceExporterOptions)).toThrow(
      `KafkaTraceExporter: ${message}`,
    )
  })
})

describe('a request cut by trace', () => {
  const spans: ReadableSpan[] = sdkSpans(40)
  const body = encodeAll(new ProtobufEncoder(), spans)
  const comparable = (bodies: readonly Uint8Array[]) =>
    bodies
      .flatMap(flatten)
      .map((each) => JSON.stringify(each))
      .toSorted()

  it.each([1_000_000, 3_000, 2_000])(
    'has every span, resource, scope and schema URL as before, in parts of %i bytes',
    (maxBytes) => {
      const parts = splitByTrace(body, maxBytes)!
      expect(comparable(parts.map((part) => part.body))).toEqual(comparable([body]))
      for (const part of parts) {
        expect(part.body.length).toBeLessThanOrEqual(maxBytes)
        expect(new Set(flatten(part.body).map(({ span }) => span.traceId))).toEqual(new Set([part.traceId]))
      }
    },
  )

  it('keeps a span whose trace id is not of 16 bytes', () => {
    const odd = spanNamed('odd', {
      spanContext: () => ({ traceId: 'abcd', spanId: '0123456789abcdef', traceFlags: 1 }),
    })
    const request = encodeAll(new ProtobufEncoder(), [odd, spanNamed('ordinary')])
    const parts = splitByTrace(request, 1_000)!
    expect(comparable(parts.map((part) => part.body))).toEqual(comparable([request]))
    expect(parts.map(({ traceId }) => traceId.length)).toEqual([0, 32])
  })

  it('does not mix traces whose ids end alike', () => {
    const traceIds = ['1', '2', '3'].map((digit) => `${digit.repeat(24)}0123abcd`)
    const alike = Array.from({ length: 30 }, (_, i) =>
      spanNamed(`span ${i}`, {
        spanContext: () => ({
          traceId: traceIds[(i * i) % 3]!,
          spanId: `012345678${1e6 + i}`,
          traceFlags: 1,
        }),
      }),
    )
    const request = encodeAll(new ProtobufEncoder(), alike)
    const parts = splitByTrace(request, 100_000)!
    expect(comparable(parts.map((part) => part.body))).toEqual(comparable([request]))
    for (const part of parts)
      expect(new Set(flatten(part.body).map(({ span }) => span.traceId))).toEqual(new Set([part.traceId]))
  })

  it('is not cut when one span alone is too large', () => {
    expect(splitByTrace(body, 300)).toBeUndefined()
  })
})

it("README prints the Collector's configuration that the test with Kafka runs", () => {
  const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
  expect(read('README.md')).toContain(read('test/durable/kafka/collector.yaml'))
})
