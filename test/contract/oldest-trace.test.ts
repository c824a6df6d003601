import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { EXPORTER_KINDS, type ExporterKind, gatedExporter } from '../helpers/exporters.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { microtasks } from '../helpers/settling.ts'
import { spanOf } from '../helpers/traces.ts'

const KINDS: [string, ExporterKind, BatchSpanProcessorOptions][] = [
  ...EXPORTER_KINDS.map(([name, kind]): [string, ExporterKind, object] => [name, kind, {}]),
  ["an encoded exporter and encodeAt 'flush'", 'encoded', { encodeAt: 'flush' }],
]

describe.each(KINDS)("dropPolicy 'oldest-trace' with %s", (_name, kind, options) => {
  function open(more: BatchSpanProcessorOptions) {
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter, {
      dropPolicy: 'oldest-trace',
      scheduledDelayMillis: 0,
      ...options,
      ...more,
    })
    /** `a1!`: trace a, an error. */
    const end = (spans: string) => {
      for (const name of spans.split(' ')) {
        processor.onEnd(spanOf(name.charCodeAt(0), name, { isError: name.endsWith('!') }))
      }
    }
    return { exporter, processor, end }
  }

  async function sentBy({ exporter, processor }: ReturnType<typeof open>): Promise<string[]> {
    const flushed = processor.flush()
    // The drain loop lets the event loop turn when it has been busy for long.
    for (let i = 0; (await Promise.race([flushed, nextTurn()])) === undefined; i++)
      exporter.batches[i]?.release()
    return exporter.names
  }

  it('gives up the oldest trace whole, however its spans lie, and keeps its errors', async () => {
    const world = open({ maxQueueSize: 8 })
    world.end('a1 b1 a2! c1 b2 a3 d1 c2')
    world.end('e1 e2 e3')
    expect(await sentBy(world)).toEqual(['a2!', 'c1', 'b2', 'd1', 'c2', 'e1', 'e2', 'e3'])
    expect(expectBalance(world.processor)).toMatchObject({ ended: 11, dropped: { queue_full: 3 } })
  })

  it('gives up what ends later of a trace that it has broken, before it breaks another', async () => {
    const world = open({ maxQueueSize: 4 })
    world.end('a1 b1 c1 d1')
    world.end('e1')
    world.end('a2 b2 a3 a4 b3')
    // Room is made before a span is looked at, so that one more trace than had to was broken.
    expect(await sentBy(world)).toEqual(['c1', 'd1', 'e1', 'b3'])
  })

  it('spares a trace of which a part is on its way', async () => {
    const world = open({ maxQueueSize: 4, maxExportBatchSize: 4 })
    world.end('a1 b1 c1 d1')
    await microtasks()
    expect(world.exporter.batches).toHaveLength(1)
    world.end('a2 e1 b2 f1')
    world.end('c2 d2')
    world.exporter.batches[0]!.release()
    expect(await sentBy(world)).toEqual(['a1', 'b1', 'c1', 'd1', 'a2', 'b2', 'c2', 'd2'])
  })

  const commands = fc.array(
    fc.oneof(
      {
        weight: 10,
        arbitrary: fc.record({
          kind: fc.constant('end' as const),
          trace: fc.integer({ min: 0, max: 12 }),
          isRoot: fc.boolean(),
          isError: fc.boolean(),
          length: fc.constantFrom(1, 1, 5, 40),
        }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), fails: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
    ),
    { maxLength: 150 },
  )

  it('B16, B19: whatever happens, the caps hold, the ledger balances, and no span is sent twice', async () => {
    const sizes = fc.record({
      maxQueueSize: fc.integer({ min: 1, max: 12 }),
      maxQueueBytes: fc.constantFrom(60, 200, 2_000, 1_000_000),
      maxExportBatchSize: fc.integer({ min: 1, max: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(sizes, commands, async (limits, list) => {
        const maxExportBatchSize = Math.min(limits.maxExportBatchSize, limits.maxQueueSize)
        const maxQueueBytes = limits.maxQueueBytes * (kind === 'stock' || options.encodeAt ? 10 : 1)
        const { exporter, processor } = open({ ...limits, maxExportBatchSize, maxQueueBytes })
        let released = 0
        let ended = 0
        for (const command of list) {
          if (command.kind === 'end') {
            const name = `${command.trace}-${ended++}-`.padEnd(command.length, 'x')
            processor.onEnd(spanOf(command.trace, name, command))
          } else if (command.kind === 'release') {
            if (released < exporter.batches.length)
              exporter.batches[released++]!.release(command.fails ? 'failed' : 'delivered')
          } else {
            processor.flush({ timeoutMillis: 0 })
          }
          await microtasks()
          const { pending, inFlight, pendingBytes } = expectBalance(processor)
          expect(pending - inFlight).toBeLessThanOrEqual(limits.maxQueueSize)
          if (inFlight === 0) expect(pendingBytes).toBeLessThanOrEqual(maxQueueBytes)
        }
        expect(processor.stats().ended).toBe(ended)
        const flushed = processor.flush()
        while ((await Promise.race([flushed, nextTurn()])) === undefined)
          exporter.batches[released++]?.release()
        expect(expectBalance(processor)).toMatchObject({ ended, pending: 0 })
        expect(new Set(exporter.names).size).toBe(exporter.names.length)
        const sequence = exporter.names.map((name) => Number(name.split('-')[1]))
        expect(sequence).toEqual(sequence.toSorted((a, b) => a - b))
      }),
      { numRuns: 60 },
    )
  })
})

describe("dropPolicy 'oldest-trace'", () => {
  it('sends real OTLP: what is left of an overload decodes, with its scopes, in order', async () => {
    const collector = await startCollector()
    const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url }), {
      dropPolicy: 'oldest-trace',
      maxQueueSize: 100,
      maxExportBatchSize: 100,
      scheduledDelayMillis: 0,
    })
    for (let i = 0; i < 1_000; i++) processor.onEnd(spanOf(i % 250, `span-${i}`))
    await processor.flush()
    const { scopeSpans } = collector.requests.map(({ body }) => decodeProtobuf(body))[0]!.resourceSpans[0]!
    const names = scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => name))
    expect(names).toHaveLength(100)
    const perTrace = new Map<number, number>()
    for (const name of names) {
      const trace = Number(name.slice(5)) % 250
      perTrace.set(trace, (perTrace.get(trace) ?? 0) + 1)
    }
    // 25 whole traces, where 'oldest' would have left one span of each of 100.
    expect([...perTrace.values()]).toEqual(Array.from({ length: 25 }, () => 4))
    expectBalance(processor)
  })

  it('forgets groups that no waiting span belongs to, and none that one does', async () => {
    const collector = await startCollector()
    const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url }), {
      dropPolicy: 'oldest-trace',
      maxQueueSize: 10,
      maxExportBatchSize: 10,
      scheduledDelayMillis: 0,
    })
    for (let i = 0; i < 5_000; i++) {
      const span = spanOf(i, `span-${i}`, { isRoot: true })
      processor.onEnd(Object.assign(span, { instrumentationScope: { name: `scope-${i}` } }))
    }
    await processor.flush()
    const { scopeSpans } = collector.requests.map(({ body }) => decodeProtobuf(body))[0]!.resourceSpans[0]!
    for (const { scope, spans } of scopeSpans) {
      for (const { name } of spans) expect(scope.name.slice(6)).toBe(name.slice(5))
    }
    expect(scopeSpans).toHaveLength(10)
  })
})
