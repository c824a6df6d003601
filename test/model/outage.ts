/** An outage: an exporter whose collector is down until it is told to be up, and what is measured meanwhile. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import {
  type EncodingExporter,
  ExportError,
  type Outcome,
  type PipelineExporter,
  pipelineExporter,
  type ReadableSpan,
} from '../../src/types.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { handMadeSpan } from '../helpers/spans.ts'

const TEMPLATE = handMadeSpan()

/** An ordinary span with a number for a name. */
export function numberedSpan(number: number): ReadableSpan {
  return { ...TEMPLATE, name: String(number) }
}

/** The numbers in a request, in order. */
export function numbersIn(body: Uint8Array): number[] {
  return decodeProtobuf(body).resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => Number(name))),
  )
}

/** The real encoder in front of a collector that can be down. Keeps what it has received while it was up. */
export class OutageExporter implements EncodingExporter {
  isDown = true
  sendCount = 0
  readonly received: number[] = []
  readonly batchSizes: number[] = []
  mostAtOnce = 0
  #running = 0
  readonly #real: PipelineExporter

  constructor() {
    const real = new OTLPTraceExporter({ url: 'http://collector.test/v1/traces' })[pipelineExporter]()
    if (real === undefined) throw new Error('the exporter has no encoded side')
    this.#real = real
  }

  export(): void {}

  async shutdown(): Promise<void> {}

  [pipelineExporter](): PipelineExporter {
    return {
      description: { type: 'outage' },
      maxRequestBytes: this.#real.maxRequestBytes,
      createEncoder: () => this.#real.createEncoder(),
      send: ({ body }) => this.#send(body),
      shutdown: async () => {},
    }
  }

  async #send(body: Uint8Array): Promise<Outcome> {
    this.sendCount++
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#running)
    // An answer takes a while, if only a turn of the microtask queue.
    await undefined
    this.#running--
    if (this.isDown) return { kind: 'retryable', error: new ExportError('network', 'connection refused') }
    const numbers = numbersIn(body)
    this.batchSizes.push(numbers.length)
    this.received.push(...numbers)
    return { kind: 'delivered', rejected: 0 }
  }
}

let collectGarbage: (() => void) | undefined

/** Bytes in use on the heap and outside of it, after a collection. */
export function bytesInUse(): number {
  if (collectGarbage === undefined) {
    setFlagsFromString('--expose-gc')
    collectGarbage = runInNewContext('gc') as () => void
  }
  collectGarbage()
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** How often the queue's headers were read and written, records copied, and the clock looked at. */
export interface Work {
  headerReads: number
  headerWrites: number
  copies: number
  clockReads: number
  microtasks: number
}

/** Counts what `action` does, on whichever objects it does it. */
export function countWork(action: () => void): Work {
  const work: Work = { headerReads: 0, headerWrites: 0, copies: 0, clockReads: 0, microtasks: 0 }
  const undo = [
    counted(DataView.prototype, ['getUint32', 'getFloat64'], () => work.headerReads++),
    counted(DataView.prototype, ['setUint32', 'setFloat64'], () => work.headerWrites++),
    counted(Uint8Array.prototype, ['set', 'copyWithin'], () => work.copies++),
    counted(performance, ['now'], () => work.clockReads++),
    counted(globalThis, ['queueMicrotask'], () => work.microtasks++),
  ]
  try {
    action()
  } finally {
    for (const restore of undo) restore()
  }
  return work
}

function counted(owner: object, names: string[], count: () => void): () => void {
  const methods = owner as Record<string, (...parameters: unknown[]) => unknown>
  const restores = names.map((name) => {
    const isOwn = Object.hasOwn(owner, name)
    const original = methods[name]
    methods[name] = function (this: unknown, ...parameters: unknown[]) {
      count()
      return original.apply(this, parameters)
    }
    return () => {
      if (isOwn) methods[name] = original
      else Reflect.deleteProperty(owner, name)
    }
  })
  return () => {
    for (const restore of restores) restore()
  }
}
