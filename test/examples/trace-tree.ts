/** Draws a trace, as it was received, as a tree. */
import type { ReceivedSpan } from './received-spans.ts'

const NAME_WIDTH = 34
const LINE_WIDTH = 118
const SHOWN_ATTRIBUTES = /^(shop\.|http\.response\.status_code|db\.query\.text|exception\.message)/

/** The span that has no parent among those received. */
export function rootOf(trace: readonly ReceivedSpan[]): ReceivedSpan {
  const ids = new Set(trace.map(({ spanId }) => spanId))
  return trace.find(({ parentSpanId }) => !parentSpanId || !ids.has(parentSpanId)) ?? trace[0]
}

/** Whether a span of the trace ended with an error. */
export function hasError(trace: readonly ReceivedSpan[]): boolean {
  return trace.some(({ status }) => status?.code === 'STATUS_CODE_ERROR')
}

/** One line a span, with the events of each under it. */
export function traceTree(trace: readonly ReceivedSpan[]): string {
  const root = rootOf(trace)
  const { 'service.name': name, 'service.version': version } = root.resource
  const lines = [`trace ${root.traceId} of ${name} ${version}, ${trace.length} spans`]
  draw(root, '', '')
  return lines.join('\n')

  function draw(span: ReceivedSpan, prefix: string, childPrefix: string): void {
    const children = trace
      .filter(({ parentSpanId }) => parentSpanId === span.spanId)
      .sort((a, b) => (BigInt(a.startTimeUnixNano) < BigInt(b.startTimeUnixNano) ? -1 : 1))
    const events = span.events ?? []
    line(`${prefix}${span.name}`, kind(span), duration(span), status(span), attributes(span.attributes))
    for (const event of events) {
      const after = milliseconds(BigInt(event.timeUnixNano) - BigInt(span.startTimeUnixNano))
      const stem = children.length > 0 ? '│' : ' '
      line(`${childPrefix}${stem}  • ${event.name}`, 'event', `+${after}`, '', attributes(event.attributes))
    }
    children.forEach((child, index) => {
      const isLast = index === children.length - 1
      draw(child, `${childPrefix}${isLast ? '└─ ' : '├─ '}`, `${childPrefix}${isLast ? '   ' : '│  '}`)
    })
  }

  function line(label: string, kind: string, time: string, status: string, attributes: string): void {
    const columns = [
      label.padEnd(NAME_WIDTH),
      kind.padEnd(8),
      time.padStart(10),
      status.padEnd(5),
      attributes,
    ]
    const text = columns.join(' ').trimEnd()
    lines.push(text.length > LINE_WIDTH ? `${text.slice(0, LINE_WIDTH - 1)}…` : text)
  }
}

function kind({ kind }: ReceivedSpan): string {
  return kind.replace('SPAN_KIND_', '').toLowerCase()
}

function duration({ startTimeUnixNano, endTimeUnixNano }: ReceivedSpan): string {
  return milliseconds(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano))
}

function milliseconds(nanoseconds: bigint): string {
  return `${(Number(nanoseconds) / 1e6).toFixed(1)} ms`
}

function status({ status }: ReceivedSpan): string {
  return status?.code?.replace('STATUS_CODE_', '').replace('UNSET', '') ?? ''
}

function attributes(attributes: Record<string, unknown> = {}): string {
  return Object.entries(attributes)
    .filter(([key]) => SHOWN_ATTRIBUTES.test(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
}
