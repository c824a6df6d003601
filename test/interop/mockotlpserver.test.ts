/** @elastic/mockotlpserver, which is always there: it decodes with the official schema. (A gzipped request ends it.) */
import type { MockOtlpServer } from '@elastic/mockotlpserver'
import type { Message } from 'protobufjs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import { startReceiver } from '../examples/received-spans.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { decodeProtobuf, type OtlpRequest, readJson } from '../helpers/otlp-schema.ts'
import { expectSameSpans } from './same-spans.ts'
import { variedSpans } from './varied-spans.ts'

const SPANS = 10_000

const ways: [way: string, options: OTLPTraceExporterOptions, read: (request: unknown) => OtlpRequest][] = [
  ['protobuf', { encoding: 'protobuf' }, (request) => readMessage(request as Message)],
  ['JSON', { encoding: 'json' }, readJson],
]

/** What its decoder made of a request, by way of its own encoder. */
function readMessage(message: Message): OtlpRequest {
  return decodeProtobuf(message.$type.encode(message).finish())
}

describe('@elastic/mockotlpserver', () => {
  const requests: unknown[] = []
  let receiver: MockOtlpServer

  // One for all tests: each of them in a process hears of the requests to every other.
  beforeAll(async () => {
    receiver = await startReceiver((request) => requests.push(request))
  })
  beforeEach(() => {
    requests.length = 0
  })
  afterAll(() => receiver.close())

  it.each(ways)('B42: gets 10,000 spans as %s as they were, field by field', async (_way, options, read) => {
    const spans = variedSpans(SPANS, 5)
    const exporter = new OTLPTraceExporter({ url: new URL('/v1/traces', receiver.httpUrl), ...options })
    const processor = watchedProcessor(exporter, { maxQueueSize: 2 * SPANS, maxQueueBytes: 256 * 2 ** 20 })

    for (const span of spans) processor.onEnd(span)
    const result = await processor.flush({ timeoutMillis: 60_000 })
    await processor.shutdown()

    expect(result).toMatchObject({ status: 'success', exported: SPANS })
    expectSameSpans(requests.map(read), spans)
  })
})
