/**
 * Which span gives way under `dropPolicy: 'oldest-trace'`, said in the simplest words: lists that are searched. A trace is
 * fresh, or a part of it was sent, or it is broken because a span of it was dropped.
 */

/** A span as far as this is concerned. */
export interface TracedSpan {
  readonly id: number
  readonly trace: number
  /** A local root, or an error. */
  readonly isImportant: boolean
}

type Line = 'fresh' | 'sent' | 'broken'

/** Roots and errors of broken traces are at most one in so many of the spans that wait. */
const KEPT_SHARE = 8

export class ExpectedTraces<Span extends TracedSpan> {
  readonly #broken = new Set<number>()
  readonly #sent = new Set<number>()
  /** Traces with spans that are not kept, in the order in which each of them gives way. */
  readonly #lines: Record<Line, number[]> = { fresh: [], sent: [], broken: [] }
  /** Of the spans that wait, those that only the bound on them, or need, pushes out. */
  #kept: Span[] = []

  /** A span has been taken in. */
  arrived(span: Span): void {
    if (this.#broken.has(span.trace) && span.isImportant) this.#kept.push(span)
    else this.#lineUp(span.trace)
  }

  /** Spans are taken, to be sent. */
  taken(spans: readonly Span[], waiting: readonly Span[]): void {
    spans.forEach((span, i) => {
      const others = [...spans.slice(i + 1), ...waiting]
      const isUntouched = !this.#sent.has(span.trace) && !this.#broken.has(span.trace)
      this.#sent.add(span.trace)
      if (isUntouched) {
        this.#leaveLines(span.trace)
        this.#lineUp(span.trace)
      }
      this.#gone(span, others)
    })
  }

  /** The span to be dropped of those that wait, oldest first. */
  victim(waiting: readonly Span[]): Span {
    const { broken, fresh, sent } = this.#lines
    for (;;) {
      const plain = broken.length > 0 ? this.#plainOf(broken[0], waiting)[0] : undefined
      const excessive = this.#kept.length * KEPT_SHARE > waiting.length ? this.#kept[0] : undefined
      const next = fresh[0] ?? sent[0]
      const victim = plain ?? excessive ?? (next === undefined ? this.#kept[0] : undefined)
      if (victim !== undefined) {
        this.#gone(
          victim,
          waiting.filter((span) => span !== victim),
        )
        return victim
      }
      this.#break(next, waiting)
    }
  }

  #break(trace: number, waiting: readonly Span[]): void {
    const spans = this.#plainOf(trace, waiting)
    this.#broken.add(trace)
    this.#leaveLines(trace)
    this.#kept.push(...spans.filter((span) => span.isImportant))
    if (spans.some((span) => !span.isImportant)) this.#lineUp(trace)
  }

  #plainOf(trace: number, waiting: readonly Span[]): Span[] {
    return waiting.filter((span) => span.trace === trace && !this.#kept.includes(span))
  }

  #lineUp(trace: number): void {
    const line = this.#broken.has(trace) ? 'broken' : this.#sent.has(trace) ? 'sent' : 'fresh'
    if (!Object.values(this.#lines).some((traces) => traces.includes(trace))) this.#lines[line].push(trace)
  }

  #leaveLines(trace: number): void {
    for (const line of Object.values(this.#lines)) {
      if (line.includes(trace)) line.splice(line.indexOf(trace), 1)
    }
  }

  #gone(span: Span, waiting: readonly Span[]): void {
    this.#kept = this.#kept.filter((other) => other !== span)
    if (this.#plainOf(span.trace, waiting).length === 0) this.#leaveLines(span.trace)
  }
}
