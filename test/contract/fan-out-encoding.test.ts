import { describe, expect, it, vi } from 'vitest'
import { JsonLinesExporter } from '../../src/exporters/json-lines.ts'
import { fanOut } from '../../src/fan-out.ts'
import { KafkaTraceExporter } from '../../src/kafka.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { SpanExporter } from '../../src/types.ts'
import { deliveringExporter } from '../helpers/exporters.ts'
import { namesOf } from '../helpers/gates.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { answers, type Collector } from '../helpers/misbehaving-collector.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { end, names, spanNamed } from '../helpers/processors.ts'
import { runningCollector, spansAt, spoolFor, temporaryDirectory } from '../spool/spools.ts'

/** A span that counts how often it is encoded. */
function countedSpan(name: string, onRead: () => void = () => {}) {
  let count = 0
  const attributes = Object.defineProperty({}, 'read', {
    enumerable: true,
    get() {
      count++
      onRead()
      return true
    },
  })
  return {
    span: spanNamed(name, { attributes }),
    get count() {
      return count
    },
  }
}

/** The names of the spans and of their scopes, in order. */
function spansWithScopes({ requests }: Collector): string[] {
  return requests.flatMap(({ body }) =>
    decodeProtobuf(body).resourceSpans.flatMap(({ scopeSpans }) =>
      scopeSpans.flatMap(({ scope, spans }) => spans.map(({ name }) => `${name} of ${scope?.name}`)),
    ),
  )
}

async function twoCollectors() {
  const collectors = [await runningCollector(), await runningCollector()] as const
  const exporters = collectors.map(({ url }) => new OTLPTraceExporter({ url }))
  return { collectors, exporters }
}

describe('fanOut encodes a span', () => {
  it('once for all that want protobuf: two collectors, a spool and Kafka', async () => {
    const { collectors, exporters } = await twoCollectors()
    const spooled = await runningCollector()
    const messages: Uint8Array[] = []
    const producer = {
      async send({ messages: sent }: { messages: { value: Uint8Array }[] }) {
        messages.push(...sent.map(({ value }) => value))
        return []
      },
    }
    const destinations = [
      ...exporters,
      spoolFor(spooled, temporaryDirectory()),
      new KafkaTraceExporter({ producer: producer as never }),
    ]
    const processor = watchedProcessor(fanOut(destinations))
    const spans = names(3).map((name) => countedSpan(name))

    for (const { span } of spans) processor.onEnd(span)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 12 })

    expect(spans.map(({ count }) => count)).toEqual([1, 1, 1])
    const bodies = [...collectors, spooled].flatMap(({ requests }) => requests.map(({ body }) => body))
    for (const body of [...bodies, ...messages]) expect(namesOf(body)).toEqual(names(3))
    expect([bodies.length, messages.length]).toEqual([3, 1])
  })

  it('once for each encoding', async () => {
    const { exporters } = await twoCollectors()
    const lines: string[] = []
    const destinations = [
      exporters[0],
      new JsonLinesExporter({ write: (line) => void lines.push(line) }),
      exporters[1],
    ] as SpanExporter[]
    const processor = watchedProcessor(fanOut(destinations))
    const counted = countedSpan('a')

    processor.onEnd(counted.span)
    expect(counted.count).toBe(2)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 3 })

    expect(lines).toHaveLength(1)
  })

  it('that was changed and ended again as it is then', async () => {
    const { collectors, exporters } = await twoCollectors()
    const processor = watchedProcessor(fanOut(exporters))
    const span = { ...spanNamed('before') }
    processor.onEnd(span)
    Object.assign(span, { name: 'after' })
    processor.onEnd(span)

    await processor.flush()

    for (const { requests } of collectors) expect(namesOf(requests[0]!.body)).toEqual(['before', 'after'])
  })

  it('whole for each, where a getter of it ends other spans meanwhile', async () => {
    const { collectors, exporters } = await twoCollectors()
    const processor = watchedProcessor(fanOut(exporters))
    const scopeOf = (name: string) => ({ instrumentationScope: { name } })
    const outer = countedSpan('outer', () => processor.onEnd(spanNamed('inner', scopeOf('other'))))
    processor.onEnd(outer.span)
    end(processor, 'last')

    const { exported } = await processor.flush()

    expect(exported).toBe(2 * (outer.count + 2))
    for (const collector of collectors) {
      const seen = spansWithScopes(collector)
      expect(seen.filter((each) => each.startsWith('outer'))).toHaveLength(1)
      expect(seen.filter((each) => each === 'inner of other')).toHaveLength(outer.count)
      expect(seen.filter((each) => each.startsWith('last'))).toHaveLength(1)
    }
  })

  /** A resource whose attributes are pending, so that it is read whenever a batch is framed, by code of the user's. */
  function watchedResource(onRead: () => void) {
    const attributes = Object.defineProperty({}, 'read', {
      enumerable: true,
      get() {
        onRead()
        return true
      },
    })
    return { attributes, asyncAttributesPending: true, waitForAsyncAttributes: async () => {} }
  }

  it.each([1, 3])('whole for each, where making room for it ends others (%i)', async (count) => {
    const collectors = [await runningCollector(), await runningCollector()]
    const destinations = collectors.map((collector) => spoolFor(collector, temporaryDirectory()))
    const processor = watchedProcessor(fanOut(destinations), { maxQueueSize: 1 })
    let isFraming = false
    const resource = watchedResource(() => {
      if (isFraming) return
      isFraming = true
      end(processor, ...names(count, 'inner-'))
    })

    processor.onEnd(spanNamed('first', { resource }))
    processor.onEnd(spanNamed('outer'))
    expect(isFraming).toBe(true)
    await processor.flush()

    // What went to a spool is sent a little later.
    const all = ['first', 'outer', ...names(count, 'inner-')].sort()
    for (const collector of collectors)
      await vi.waitFor(() => expect(spansAt(collector).sort()).toEqual(all), { timeout: 10_000 })
    expect(expectBalance(processor).destinations).toMatchObject([{ ended: count + 2 }, { ended: count + 2 }])
  })

  it('and those that end meanwhile in their order; a flush that is asked for meanwhile covers them', async () => {
    const { collectors, exporters } = await twoCollectors()
    const processor = watchedProcessor(fanOut(exporters))
    const flushes: ReturnType<typeof processor.flush>[] = []
    const outer = countedSpan('outer', () => {
      end(processor, 'second', 'third')
      flushes.push(processor.flush())
      end(processor, 'fourth')
    })

    processor.onEnd(outer.span)
    end(processor, 'fifth')
    expect(await flushes[0]).toMatchObject({ status: 'success', destinations: [{}, {}] })
    expect(processor.stats()).toMatchObject({ pending: 0 })

    for (const collector of collectors)
      expect(spansAt(collector)).toEqual(['outer', 'second', 'third', 'fourth', 'fifth'])
  })

  it('also where each ends another, for ever: the end does not hang, and what is given up is counted', async () => {
    const processor = watchedProcessor(fanOut([deliveringExporter('encoded'), deliveringExporter('stock')]))
    let ended = 0
    let isOver = false
    const endOne = (): void => {
      if (isOver) return
      ended++
      processor.onEnd(
        spanNamed('', {
          get name(): string {
            endOne()
            return 'endless'
          },
        }),
      )
    }

    endOne()
    isOver = true

    const { dropped, destinations } = expectBalance(processor)
    expect(dropped.queue_full).toBeGreaterThan(0)
    expect(destinations).toMatchObject([{ ended }, { ended }])
  })

  it('that cannot be encoded for none of them, and counts it at each', async () => {
    const { exporters } = await twoCollectors()
    const processor = watchedProcessor(fanOut(exporters))
    const bad = countedSpan('bad', () => {
      throw new Error('a getter threw')
    })

    processor.onEnd(bad.span)
    end(processor, 'good')
    await processor.flush()

    expect(expectBalance(processor).destinations).toMatchObject([
      { ended: 2, exported: 1, dropped: { encode_error: 1 } },
      { ended: 2, exported: 1, dropped: { encode_error: 1 } },
    ])
  })

  it.each(['oldest', 'newest', 'oldest-trace'] as const)(
    "under its own scope, when one of them has long forgotten what another still holds (dropPolicy: '%s')",
    async (dropPolicy) => {
      const { collectors, exporters } = await twoCollectors()
      const held: { destroy(): unknown }[] = []
      collectors[0].otherwise({ stage: 'request', act: (socket) => void held.push(socket) })
      const options = { dropPolicy, maxQueueSize: 3000, maxExportBatchSize: 500, scheduledDelayMillis: 0 }
      const processor = watchedProcessor(fanOut(exporters), options)
      for (let i = 1; i <= 12_000; i++) {
        processor.onEnd(spanNamed(`span-${i}`, { instrumentationScope: { name: `span-${i}` } }))
        const quick = () => processor.stats().destinations?.[1]?.exported
        if (i % 1000 === 0) await vi.waitFor(() => expect(quick()).toBe(i), { interval: 5, timeout: 10_000 })
      }
      expect(processor.stats().destinations).toMatchObject([{ exported: 0, pending: 3500 }, { pending: 0 }])

      collectors[0].otherwise(answers(200))
      for (const socket of held) socket.destroy()
      await processor.flush({ timeoutMillis: 20_000 })

      expect(expectBalance(processor).destinations).toMatchObject([{ exported: 3500 }, { exported: 12_000 }])
      for (const collector of collectors) {
        for (const each of spansWithScopes(collector)) {
          const [name, scope] = each.split(' of ')
          expect(scope).toBe(name)
        }
      }
    },
  )
})
