/** The demo and the quick-start programs, run from source as their users run them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { PipelineStats } from 'tailrace'
import { describe, expect, it } from 'vitest'
import { type ReceivedSpan, ReceivedSpans, startReceiver } from './examples/received-spans.ts'
import { traceTree } from './examples/trace-tree.ts'
import { type Evidence, findFaults } from './examples/verdict.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const PROGRAM_TIMEOUT_MILLIS = 60_000

interface Run {
  /** 0 for success; the signal's name if it was killed. */
  readonly exit: number | string
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of test/examples in a process of its own. */
async function run(
  file: string,
  {
    args = [],
    preload = [],
    env = {},
  }: { args?: string[]; preload?: string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<Run> {
  const imports = [...preload, 'tsx'].flatMap((module) => ['--import', module])
  const child = spawn(process.execPath, [...imports, `test/examples/${file}`, ...args], {
    cwd: root,
    env: { ...process.env, TSX_TSCONFIG_PATH: `${root}tsconfig.json`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PROGRAM_TIMEOUT_MILLIS,
  })
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ])
  return { exit: code ?? signal, stdout, stderr }
}

/** A module that makes the demo's receiver answer every request, and yet see the second one only that many times. */
function receiverThatSeesTheSecondRequest(times: number): string {
  const source = `
    import { channel } from 'node:diagnostics_channel'
    const requests = globalThis.keptRequests = channel('otlp.v1.trace')
    let count = 0
    requests.publish = (request) => {
      const { publish } = Object.getPrototypeOf(requests)
      for (let left = ++count === 2 ? ${times} : 1; left > 0; left--) publish.call(requests, request)
    }`
  return `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`
}

describe.concurrent('the demo', { timeout: PROGRAM_TIMEOUT_MILLIS }, () => {
  it.each([
    { mode: 'over OTLP', args: [], unit: 'requests' },
    { mode: 'as JSON lines', args: ['--json'], unit: 'lines' },
  ])('passes $mode: every span that ended arrived, once', async ({ args, unit }) => {
    const { exit, stdout, stderr } = await run('demo.ts', { args })

    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
    expect(stdout).toContain('300 requests, answered 267 × 200, 14 × 409, 19 × 502; then SIGTERM')
    expect(stdout).toMatch(/^trace [0-9a-f]{32} of shop 1\.4\.2, 8 spans$/m)
    expect(stdout).toMatch(/^POST \/checkout\/:id +server +\d+\.\d ms +http\.response\.status_code=200$/m)
    expect(stdout).toMatch(/^└─ check out +internal +\d+\.\d ms +shop\.order\.id=\d+ .*\["Füller","傘"\]$/m)
    expect(stdout).toMatch(/^ {3}├─ POST +client +\d+\.\d ms +http\.response\.status_code=200$/m)
    expect(stdout).toMatch(/^ {3}│ {2}└─ POST \/payments\/:id +server /m)
    expect(stdout).toMatch(/^ {9}└─ authorize card +internal +\d+\.\d ms ERROR$/m)
    expect(stdout).toMatch(/• exception +event +\+\d+\.\d ms +exception\.message=the card was declined$/m)
    expect(stdout).toMatch(/^ {2}ended +1575\n {2}exported +1575\n {2}rejected +0\n {2}failed +0$/m)
    expect(stdout).toMatch(new RegExp(`^received: 1575 spans in \\d+ ${unit}$`, 'm'))
    expect(stdout).toMatch(/PASS: every span that ended arrived, once\n$/)
  })

  it.each([
    { what: 'loses a request', times: 0, fault: /^FAIL: \d+ spans ended and never arrived: [0-9a-f]{16}/ },
    {
      what: 'takes a request twice',
      times: 2,
      fault: /^FAIL: \d+ spans arrived more than once: [0-9a-f]{16}/,
    },
  ])('fails when the receiver $what', async ({ times, fault }) => {
    const preload = [receiverThatSeesTheSecondRequest(times)]

    const { exit, stdout, stderr } = await run('demo.ts', { args: ['--requests', '60'], preload })

    expect(exit).toBe(1)
    expect(stderr).toMatch(fault)
    expect(stdout).not.toContain('PASS')
  })
})

describe('the verdict of the demo', () => {
  const ledger: PipelineStats = {
    ended: 2,
    exported: 2,
    rejected: 0,
    failed: 0,
    dropped: {
      queue_full: 0,
      queue_bytes_full: 0,
      span_too_large: 0,
      encode_error: 0,
      retry_exhausted: 0,
      already_shutdown: 0,
      shutdown_timeout: 0,
    },
    pending: 0,
    pendingBytes: 0,
    inFlight: 0,
    openSpans: 0,
  }
  const good: Evidence = { endedSpanIds: ['a', 'b'], receivedSpanIds: ['b', 'a'], ledger }

  it('has no faults to find when all witnesses agree', () => {
    expect(findFaults(good)).toEqual([])
  })

  it.each<[string, Partial<Evidence>, string[]]>([
    ['a lost span', { receivedSpanIds: ['a'] }, ['1 spans ended and never arrived: b']],
    ['a doubled span', { receivedSpanIds: ['a', 'b', 'a'] }, ['1 spans arrived more than once: a']],
    ['a span from nowhere', { receivedSpanIds: ['a', 'b', 'c'] }, ['1 spans arrived that had not ended: c']],
    [
      'a ledger that missed a span',
      { ledger: { ...ledger, ended: 1, exported: 1 } },
      [
        'the ledger has 1 spans ended, where 2 have ended',
        'the ledger has 1 spans exported, where 2 have ended',
      ],
    ],
    [
      'a drop',
      { ledger: { ...ledger, exported: 1, dropped: { ...ledger.dropped, queue_full: 1 } } },
      ['the ledger has 1 spans exported, where 2 have ended', 'the ledger has queue_full = 1'],
    ],
    ['a span left open', { ledger: { ...ledger, openSpans: 1 } }, ['the ledger has openSpans = 1']],
    [
      'a run without spans',
      { endedSpanIds: [], receivedSpanIds: [], ledger: { ...ledger, ended: 0, exported: 0 } },
      ['no span ended, so nothing was shown'],
    ],
  ])('finds %s', (_what, change, faults) => {
    expect(findFaults({ ...good, ...change })).toEqual(faults)
  })
})

describe('the trace trees of the demo', () => {
  const received: ReceivedSpan = {
    resource: { 'service.name': 'shop', 'service.version': '2' },
    scope: { name: 'shop' },
    traceId: 'f'.repeat(32),
    spanId: '1',
    name: 'GET /',
    kind: 'SPAN_KIND_SERVER',
    startTimeUnixNano: '1800000000000000000',
    endTimeUnixNano: '1800000000012345678',
  }

  it('show spans under their parents in order of their start, and events under their spans', () => {
    const child: ReceivedSpan = { ...received, parentSpanId: '1', kind: 'SPAN_KIND_INTERNAL' }
    const tree = traceTree([
      { ...child, spanId: '3', name: 'second', startTimeUnixNano: '1800000000000000002' },
      {
        ...child,
        spanId: '2',
        name: 'first',
        status: { code: 'STATUS_CODE_ERROR' },
        events: [{ name: 'oops', timeUnixNano: '1800000000005000000', attributes: { 'shop.n': 1 } }],
        startTimeUnixNano: '1800000000000000001',
      },
      received,
      {
        ...child,
        parentSpanId: '3',
        spanId: '4',
        name: 'grandchild',
        attributes: { 'shop.list': ['a', 'b'] },
      },
    ])

    expect(tree.split('\n').map((line) => line.replace(/ {2,}(?=\S*(server|internal|event))/, ' '))).toEqual([
      'trace ffffffffffffffffffffffffffffffff of shop 2, 4 spans',
      'GET / server      12.3 ms',
      '├─ first internal    12.3 ms ERROR',
      '│     • oops event       +5.0 ms       shop.n=1',
      '└─ second internal    12.3 ms',
      '   └─ grandchild internal    12.3 ms       shop.list=["a","b"]',
    ])
  })
})

describe('the quick-start program', { timeout: PROGRAM_TIMEOUT_MILLIS }, () => {
  it('sends what the stock one sends', async () => {
    let received = new ReceivedSpans()
    const receiver = await startReceiver((request) => received.add(request))
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.httpUrl.href }

    const stockRun = await run('quick-start-stock.ts', { env })
    const stock = comparable(received.spans)
    received = new ReceivedSpans()
    const ourRun = await run('quick-start.ts', { env })
    const ours = comparable(received.spans)
    await receiver.close()

    expect(stockRun).toEqual({ exit: 0, stdout: '', stderr: '' })
    expect(ourRun).toEqual(stockRun)
    expect(stock).toHaveLength(12)
    expect(ours).toEqual(stock)
  })
})

/**
 * Without what differs from run to run, which is times, and ids, which become the place of their span, and the order,
 * since the stock processor sends its batches in parallel; and without zeros, which the stock exporter writes and
 * protobuf lets us leave out.
 */
function comparable(received: ReceivedSpan[]): unknown[] {
  const place = ({ name, attributes }: ReceivedSpan) => `${name} ${attributes?.['work.number']}`
  const spans = received.toSorted((a, b) => place(a).localeCompare(place(b)))
  const traceIds = [...new Set(spans.map(({ traceId }) => traceId))]
  const spanIds = spans.map(({ spanId }) => spanId)
  return spans.map((span) =>
    JSON.parse(JSON.stringify(span), (key, value) => {
      if (key === 'traceId') return traceIds.indexOf(value)
      if (key === 'spanId' || key === 'parentSpanId') return spanIds.indexOf(value)
      if (/timeUnixNano$/i.test(key)) return 'some time'
      const isDefault = /^dropped\w+Count$/.test(key) ? value === 0 : key === 'status' && isUnset(value)
      return isDefault ? undefined : value
    }),
  )
}

function isUnset({ code = 'STATUS_CODE_UNSET', message = '' }: NonNullable<ReceivedSpan['status']>): boolean {
  return code === 'STATUS_CODE_UNSET' && message === ''
}
