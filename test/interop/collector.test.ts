/** What the OpenTelemetry Collector makes of our requests: what it writes is what went in. */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import type { BatchSpanProcessor } from '../../src/processor.ts'
import type { ReadableSpan } from '../../src/types.ts'
import { blockWith } from '../helpers/code-blocks.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { handMadeSpan } from '../helpers/spans.ts'
import { Collector } from './collector.ts'
import { collectorRecipe } from './recipes.ts'
import { expectSameSpans, placedSpans } from './same-spans.ts'
import { variedSpans } from './varied-spans.ts'
import { describeWith } from './with-receiver.ts'

const SPANS = 10_000
const PATIENT = { timeoutMillis: 60_000 }

const cannotRun = spawnSync('curl', ['--version']).error !== undefined && !process.env.CI
if (cannotRun) console.warn('skipped: the curl of TROUBLESHOOTING takes curl')

function processorFor(url: string, options: OTLPTraceExporterOptions = {}): BatchSpanProcessor {
  return watchedProcessor(new OTLPTraceExporter({ url, ...options }), {
    maxQueueSize: 2 * SPANS,
    maxQueueBytes: 256 * 2 ** 20,
  })
}

function end(processor: BatchSpanProcessor, spans: ReadableSpan[]): void {
  for (const span of spans) processor.onEnd(span)
}

/** What the collector's own debug exporter counted. */
function spansInLog(log: string): number {
  return [...log.matchAll(/"spans": (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
}

const ways: [way: string, options: OTLPTraceExporterOptions][] = [
  ['protobuf', {}],
  ['JSON', { encoding: 'json' }],
  ['gzipped protobuf', { compression: 'gzip' }],
  ['gzipped JSON', { encoding: 'json', compression: 'gzip' }],
  ['gzipped protobuf over fetch', { compression: 'gzip', fetch: globalThis.fetch }],
]

describeWith(collectorRecipe, 'the OpenTelemetry Collector', () => {
  it('is the one that README names', () => {
    const printed = execFileSync(collectorRecipe.binary, ['--version'], { encoding: 'utf8' })
    expect(`OpenTelemetry Collector ${printed.trim().split(' ').at(-1)}`).toBe(collectorRecipe.name)
  })

  it.skipIf(cannotRun).each([
    { mistake: 'none', from: '', to: '', status: 200 },
    { mistake: 'the path', from: '/v1/traces', to: '/v2/traces', status: 404 },
    { mistake: 'the method', from: '-X POST', to: '-X PUT', status: 405 },
    { mistake: 'the encoding', from: 'application/json', to: 'text/plain', status: 415 },
  ])('answers the curl of TROUBLESHOOTING as it says; mistake: $mistake', async ({ from, to, status }) => {
    const collector = await Collector.start()
    const code = blockWith('env | grep OTEL_').replace(from, to)
    const { stdout } = await promisify(execFile)('bash', ['-c', code], {
      env: { PATH: process.env.PATH, OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin },
    })
    expect(stdout).toContain(`\nHTTP/1.1 ${status} `)
    expect(blockWith('env | grep OTEL_')).toContain(from)
  })

  it.each(ways)(
    'B42: writes the 10,000 spans that it got as %s as they were, field by field',
    async (way, options) => {
      const spans = variedSpans(SPANS, way.length)
      const collector = await Collector.start()
      const processor = processorFor(collector.url, options)

      end(processor, spans)
      const result = await processor.flush(PATIENT)

      expect(result).toMatchObject({ status: 'success', exported: SPANS })
      expect(processor.stats()).toMatchObject({ ended: SPANS, exported: SPANS, pending: 0 })
      expect(await collector.stop()).toBe(0)
      expect(spansInLog(collector.log)).toBe(SPANS)
      expectSameSpans(collector.written(), spans)
    },
  )

  it.each(ways.slice(0, 2))('B43: has every type of attribute as %s', async (_way, options) => {
    const attributes = {
      string: 'Käsespätzle 寿司 🥨 "\\\n\u0000',
      empty: '',
      'lone surrogate': 'a\ud800b',
      true: true,
      false: false,
      zero: 0,
      'negative zero': -0,
      int: -42,
      'largest safe int': 2 ** 53,
      'smallest int': -(2 ** 63),
      'beyond int64': 2 ** 63,
      bigint: 2n ** 63n - 1n,
      double: 0.1,
      huge: 1e300,
      tiny: Number.MIN_VALUE,
      'not a number': Number.NaN,
      infinity: Number.POSITIVE_INFINITY,
      'minus infinity': Number.NEGATIVE_INFINITY,
      bytes: Uint8Array.of(0, 127, 128, 255),
      'no bytes': new Uint8Array(),
      null: null,
      strings: ['a', '', 'b'],
      numbers: [1, 2.5, Number.NaN],
      'empty array': [],
      mixed: [1, 'two', true, null, [3, [4]], { five: 5 }],
      map: { a: 1, nested: { b: [true, { c: 'd' }] } },
      'empty map': {},
    }
    const span = handMadeSpan({ attributes })
    const collector = await Collector.start()
    const processor = processorFor(collector.url, options)

    processor.onEnd(span)
    expect(await processor.flush(PATIENT)).toMatchObject({ status: 'success', exported: 1 })
    expect(await collector.stop()).toBe(0)

    expectSameSpans(collector.written(), [span])
    const { attributes: written } = placedSpans(collector.written())[0]!.span
    expect(Object.fromEntries(written.map(({ key, value }) => [key, value]))).toEqual({
      string: { stringValue: 'Käsespätzle 寿司 🥨 "\\\n\u0000' },
      empty: { stringValue: '' },
      'lone surrogate': { stringValue: 'a\ufffdb' },
      true: { boolValue: true },
      false: { boolValue: false },
      zero: { intValue: '0' },
      'negative zero': { doubleValue: -0 },
      int: { intValue: '-42' },
      'largest safe int': { intValue: '9007199254740992' },
      'smallest int': { intValue: '-9223372036854775808' },
      'beyond int64': { doubleValue: 2 ** 63 },
      bigint: { intValue: '9223372036854775807' },
      double: { doubleValue: 0.1 },
      huge: { doubleValue: 1e300 },
      tiny: { doubleValue: 5e-324 },
      'not a number': { doubleValue: Number.NaN },
      infinity: { doubleValue: Number.POSITIVE_INFINITY },
      'minus infinity': { doubleValue: Number.NEGATIVE_INFINITY },
      bytes: { bytesValue: 'AH+A/w==' },
      'no bytes': { bytesValue: '' },
      null: {},
      strings: { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: '' }, { stringValue: 'b' }] } },
      numbers: {
        arrayValue: { values: [{ intValue: '1' }, { doubleValue: 2.5 }, { doubleValue: Number.NaN }] },
      },
      'empty array': { arrayValue: { values: [] } },
      mixed: {
        arrayValue: {
          values: [
            { intValue: '1' },
            { stringValue: 'two' },
            { boolValue: true },
            {},
            { arrayValue: { values: [{ intValue: '3' }, { arrayValue: { values: [{ intValue: '4' }] } }] } },
            { kvlistValue: { values: [{ key: 'five', value: { intValue: '5' } }] } },
          ],
        },
      },
      map: {
        kvlistValue: {
          values: [
            { key: 'a', value: { intValue: '1' } },
            {
              key: 'nested',
              value: {
                kvlistValue: {
                  values: [
                    {
                      key: 'b',
                      value: {
                        arrayValue: {
                          values: [
                            { boolValue: true },
                            { kvlistValue: { values: [{ key: 'c', value: { stringValue: 'd' } }] } },
                          ],
                        },
                      },
                    },
                  ],
                },
              },
            },
          ],
        },
      },
      'empty map': { kvlistValue: { values: [] } },
    })
  })
})
