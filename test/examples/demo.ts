/**
 * The demo: drives some hundred requests at a traced service, ends it with SIGTERM, and compares what the service
 * says it ended with what arrived.
 *
 *     npm run demo                       over OTLP, to a receiver that nobody here wrote
 *     npm run demo -- --json             as JSON lines over the service's standard output
 *     npm run demo -- --requests 5000    more of it
 *
 * Exits 0 only if every span that ended arrived, once.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { PipelineStats } from 'tailrace'
import { type ReceivedSpan, ReceivedSpans, startReceiver } from './received-spans.ts'
import { hasError, rootOf, traceTree } from './trace-tree.ts'
import { findFaults } from './verdict.ts'

const CONCURRENCY = 20
/** Until the service listens, for each request, and from SIGTERM until the service is gone. */
const PATIENCE_MILLIS = 15_000

/** The last line of the service's log. */
interface Farewell {
  readonly ledger: PipelineStats
  readonly endedSpanIds: string[]
}

/** The service, as its own process. */
interface Service {
  /** Its URL, once it listens. */
  readonly listening: Promise<string>
  /** What it says last; rejects if it ends badly, or without a word. */
  readonly ended: Promise<Farewell>
  /** Asks it to end in order. */
  terminate(): void
  kill(): void
}

function startService(received: ReceivedSpans, endpoint: URL | undefined): Service {
  const file = fileURLToPath(new URL('service.ts', import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, file, ...(endpoint ? [] : ['--json'])], {
    env: serviceEnvironment(endpoint),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  let patience = setTimeout(kill, PATIENCE_MILLIS)

  let farewell: Farewell | undefined
  const listening = new Promise<string>((resolve, reject) => {
    eachLine(child.stderr, (line) => {
      const entry = parsed(line)
      if (entry?.listening) {
        clearTimeout(patience)
        resolve(entry.listening)
      } else if (entry?.ledger) farewell = entry as Farewell
      else console.error(`service: ${line}`)
    })
    child.once('close', () => reject(new Error('the service never listened')))
  })
  eachLine(child.stdout, (line) => received.add(JSON.parse(line)))

  async function untilClosed(): Promise<Farewell> {
    const [code, signal] = await once(child, 'close')
    clearTimeout(patience)
    if (code !== 0) throw new Error(`the service ended with ${signal ?? `exit code ${code}`}`)
    if (!farewell) throw new Error('the service ended without its ledger')
    return farewell
  }

  return {
    listening,
    ended: untilClosed(),
    terminate() {
      child.kill('SIGTERM')
      patience = setTimeout(kill, PATIENCE_MILLIS)
    },
    kill,
  }
}

/** Ours, but for what would send spans or requests elsewhere. */
function serviceEnvironment(endpoint: URL | undefined): NodeJS.ProcessEnv {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^OTEL_|_PROXY$/i.test(name)),
  )
  return endpoint ? { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint.href } : env
}

function eachLine(input: Readable, take: (line: string) => void): void {
  createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }).on('line', take)
}

function parsed(line: string): (Partial<Farewell> & { listening?: string }) | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** Sends the requests, some of which fail on purpose, and counts the answers by status. */
async function driveRequests(url: string, count: number): Promise<Map<number, number>> {
  const answers = new Map<number, number>()
  let next = 1
  async function client(): Promise<void> {
    while (next <= count) {
      const id = next++
      const [method, path] = id % 2 === 0 ? ['GET', 'products'] : ['POST', 'checkout']
      const signal = AbortSignal.timeout(PATIENCE_MILLIS)
      const response = await fetch(`${url}/${path}/${id}`, { method, signal })
      await response.arrayBuffer()
      answers.set(response.status, (answers.get(response.status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, client))
  return answers
}

/** A trace of each sort: what it begins with, and whether it went well. The longest; the latest, when all is warm. */
function samples(received: ReceivedSpans): ReceivedSpan[][] {
  const bySort = new Map<string, ReceivedSpan[]>()
  for (const trace of received.traces()) {
    const sort = `${rootOf(trace).name} ${hasError(trace)}`
    if (trace.length >= (bySort.get(sort)?.length ?? 0)) bySort.set(sort, trace)
  }
  return [...bySort.values()]
}

function ledgerTable({ dropped, ...ledger }: PipelineStats): string {
  const reasons = Object.entries(dropped).filter(([, count]) => count > 0)
  const rows = {
    ended: ledger.ended,
    exported: ledger.exported,
    rejected: ledger.rejected,
    failed: ledger.failed,
    dropped: Object.values(dropped).reduce((sum, count) => sum + count, 0),
    ...Object.fromEntries(reasons.map(([reason, count]) => [`  ${reason}`, count])),
    pending: ledger.pending,
  }
  const lines = Object.entries(rows).map(
    ([name, count]) => `  ${name.padEnd(20)} ${String(count).padStart(8)}`,
  )
  return ['ledger of the service', ...lines].join('\n')
}

async function main(): Promise<string[]> {
  const { values } = parseArgs({
    options: { json: { type: 'boolean', default: false }, requests: { type: 'string', default: '300' } },
  })
  const received = new ReceivedSpans()
  const receiver = values.json ? undefined : await startReceiver((request) => received.add(request))
  console.log(receiver ? `OTLP receiver at ${receiver.httpUrl}` : 'spans as JSON lines over standard output')
  try {
    const service = startService(received, receiver?.httpUrl)
    const driven = service.listening.then(async (url) => {
      console.log(`service at ${url}`)
      return driveRequests(url, Number(values.requests))
    })
    driven.then(service.terminate, service.kill)
    const [end, drive] = await Promise.allSettled([service.ended, driven])
    if (end.status === 'rejected' || drive.status === 'rejected') {
      return [end, drive].flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : []))
    }
    const { ledger, endedSpanIds } = end.value

    const statuses = [...drive.value]
      .sort(([a], [b]) => a - b)
      .map(([status, count]) => `${count} × ${status}`)
    console.log(`${values.requests} requests, answered ${statuses.join(', ')}; then SIGTERM\n`)
    for (const trace of samples(received)) console.log(`${traceTree(trace)}\n`)
    console.log(`${ledgerTable(ledger)}\n`)
    const unit = receiver ? 'requests' : 'lines'
    console.log(`received: ${received.spans.length} spans in ${received.requestCount} ${unit}`)
    return findFaults({ endedSpanIds, receivedSpanIds: received.spans.map(({ spanId }) => spanId), ledger })
  } finally {
    await receiver?.close()
  }
}

let faults: string[]
try {
  faults = await main()
} catch (error) {
  faults = [String(error)]
}
if (faults.length === 0) console.log('PASS: every span that ended arrived, once')
else {
  for (const fault of faults) console.error(`FAIL: ${fault}`)
  process.exit(1) // Takes the service along, if it is still there.
}
