import { context, TraceFlags, trace } from '@opentelemetry/api'
import { beforeEach, describe, expect, it } from 'vitest'
import { OpenSpans } from '../../src/pipeline/open-spans.ts'
import { SynchronousContextManager, useContextManager } from '../helpers/context-managers.ts'
import { hasSettled } from '../helpers/settling.ts'

/** Runs `work` with the span of that id active. */
function within<T>(spanId: string, work: () => T): T {
  const spanContext = { traceId: '1'.repeat(32), spanId, traceFlags: TraceFlags.SAMPLED }
  return context.with(trace.setSpanContext(context.active(), spanContext), work)
}

describe('open spans', () => {
  beforeEach(() => useContextManager(new SynchronousContextManager()))

  it('are counted', () => {
    const open = new OpenSpans()
    open.started('a', undefined)
    open.started('b', 'a')
    expect(open.count).toBe(2)
    open.ended('a')
    open.ended('a')
    open.ended('never started')
    expect(open.count).toBe(1)
  })

  it('B13: are waited for until the last of them has ended', async () => {
    const open = new OpenSpans()
    for (const id of ['a', 'b', 'c']) open.started(id, undefined)
    const { ended } = open.whenOthersEnd()
    open.started('later', undefined)
    for (const id of ['c', 'a']) open.ended(id)
    expect(await hasSettled(ended)).toBe(false)
    open.ended('b')
    expect(await hasSettled(ended)).toBe(true)
  })

  it('B13: with none open there is nothing to wait for', async () => {
    expect(await hasSettled(new OpenSpans().whenOthersEnd().ended)).toBe(true)
  })

  it("B13: the caller's own span and its ancestors are left out", async () => {
    const open = new OpenSpans()
    open.started('grandparent', undefined)
    open.started('parent', 'grandparent')
    open.started('own', 'parent')
    expect(await hasSettled(within('own', () => open.whenOthersEnd()).ended)).toBe(true)
    open.started('sibling', 'parent')
    const { ended } = within('own', () => open.whenOthersEnd())
    expect(await hasSettled(ended)).toBe(false)
    open.ended('sibling')
    expect(await hasSettled(ended)).toBe(true)
  })

  it('B13: ancestry that is not known any more, or goes in a circle, ends the search', async () => {
    const open = new OpenSpans()
    open.started('a', 'b')
    open.started('b', 'a')
    open.started('child', 'unknown')
    expect(await hasSettled(within('a', () => open.whenOthersEnd()).ended)).toBe(false)
    open.ended('child')
    expect(await hasSettled(within('a', () => open.whenOthersEnd()).ended)).toBe(true)
  })

  it('several waits are independent of each other, and one can be called off', async () => {
    const open = new OpenSpans()
    open.started('a', undefined)
    const first = open.whenOthersEnd()
    open.started('b', undefined)
    const second = open.whenOthersEnd()
    const cancelled = open.whenOthersEnd()
    cancelled.cancel()
    open.ended('a')
    expect(await hasSettled(first.ended)).toBe(true)
    expect(await hasSettled(second.ended)).toBe(false)
    open.ended('b')
    expect(await hasSettled(second.ended)).toBe(true)
    expect(await hasSettled(cancelled.ended)).toBe(false)
  })

  it('B13: stay known, with their parents, while thousands of others come and go', async () => {
    const open = new OpenSpans()
    open.started('parent', undefined)
    open.started('own', 'parent')
    open.started('sibling', 'parent')
    const { ended } = within('own', () => open.whenOthersEnd())
    for (let i = 0; i < 5000; i++) {
      open.started(`span-${i}`, 'own')
      open.ended(`span-${i}`)
      if (i % 1000 === 0) open.started(`stays-${i}`, 'own')
    }
    expect(open.count).toBe(8)
    expect(await hasSettled(ended)).toBe(false)
    open.ended('sibling')
    expect(await hasSettled(ended)).toBe(true)
    const { ended: others } = within('own', () => open.whenOthersEnd())
    for (let i = 0; i < 5000; i += 1000) {
      expect(await hasSettled(others)).toBe(false)
      open.ended(`stays-${i}`)
    }
    expect(await hasSettled(others)).toBe(true)
  })

  it('that never end do not fill the memory, and nobody waits for those forgotten', async () => {
    const open = new OpenSpans()
    open.started('oldest', undefined)
    const { ended } = open.whenOthersEnd()
    for (let i = 0; i < 70_000; i++) open.started(`span-${i}`, undefined)
    expect(open.count).toBeLessThanOrEqual(65_536)
    expect(open.count).toBeGreaterThan(50_000)
    expect(await hasSettled(ended)).toBe(true)
  })
})
