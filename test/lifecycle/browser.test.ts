import { DiagLogLevel, diag } from '@opentelemetry/api'
import { beforeEach, expect, test, vi } from 'vitest'
import { flushOnPageHide, type PageFlushTarget } from '../../src/lifecycle/browser.ts'
import { PAGE } from '../../src/page.ts'
import { deliveringExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end } from '../helpers/processors.ts'
import { microtasks } from '../helpers/settling.ts'

/** As much of a page as hides and shows itself. */
class Page extends EventTarget {
  visibilityState = 'visible'

  change(visibilityState: 'visible' | 'hidden'): void {
    this.visibilityState = visibilityState
    this.dispatchEvent(new Event('visibilitychange'))
  }
}

let page: Page
let pageWindow: EventTarget

beforeEach(() => {
  page = new Page()
  pageWindow = new EventTarget()
  vi.stubGlobal('document', page)
  vi.stubGlobal('addEventListener', pageWindow.addEventListener.bind(pageWindow))
  vi.stubGlobal('removeEventListener', pageWindow.removeEventListener.bind(pageWindow))
})

test('B55: hiding the page flushes, as with the stock processor', async () => {
  const exporter = deliveringExporter('encoded')
  const processor = watchedProcessor(exporter)
  end(processor, 'a')
  page.change('hidden')
  await microtasks()
  expect(exporter.names).toEqual(['a'])
})

test('B55: pagehide and visibilitychange together send once; a page that comes back flushes again', async () => {
  const exporter = deliveringExporter('encoded')
  const processor = watchedProcessor(exporter)
  const flush = vi.spyOn(processor, 'flush')
  end(processor, 'a')
  pageWindow.dispatchEvent(new Event('pagehide'))
  page.change('hidden')
  await microtasks()
  expect(flush).toHaveBeenCalledTimes(1)
  pageWindow.dispatchEvent(new Event('pageshow'))
  end(processor, 'b')
  pageWindow.dispatchEvent(new Event('pagehide'))
  await microtasks()
  expect(exporter.names).toEqual(['a', 'b'])
  page.change('visible')
  end(processor, 'c')
  page.change('hidden')
  await microtasks()
  expect(exporter.names).toEqual(['a', 'b', 'c'])
})

test('B55: disableAutoFlushOnDocumentHide leaves the page alone', async () => {
  const exporter = deliveringExporter('encoded')
  const processor = watchedProcessor(exporter, { disableAutoFlushOnDocumentHide: true })
  end(processor, 'a')
  pageWindow.dispatchEvent(new Event('pagehide'))
  page.change('hidden')
  await microtasks()
  expect(exporter.names).toEqual([])
})

test('B55: after shutdown the page holds on to nothing', async () => {
  const removed = vi.spyOn(page, 'removeEventListener')
  const processor = watchedProcessor(deliveringExporter('encoded'))
  const flush = vi.spyOn(processor, 'flush')
  await processor.shutdown()
  page.change('hidden')
  expect(removed).toHaveBeenCalledTimes(1)
  expect(flush).not.toHaveBeenCalled()
})

test('B55: a tab that is closed in the background flushes what ended there', async () => {
  const exporter = deliveringExporter('stock')
  const processor = watchedProcessor(exporter)
  end(processor, 'a')
  page.change('hidden')
  await microtasks()
  end(processor, 'b')
  pageWindow.dispatchEvent(new Event('pagehide'))
  page.change('hidden')
  await microtasks()
  expect(exporter.names).toEqual(['a', 'b'])
})

test('B55: our processors hear what happens to the page, and that it is back only if it was hidden', () => {
  const heard: string[] = []
  const target = { async forceFlush() {}, [PAGE]: (event: string) => void heard.push(event) }
  const stop = flushOnPageHide(target)
  pageWindow.dispatchEvent(new Event('pageshow'))
  page.change('visible')
  expect(heard).toEqual([])
  page.change('hidden')
  page.change('visible')
  pageWindow.dispatchEvent(new Event('pageshow'))
  pageWindow.dispatchEvent(new Event('pagehide'))
  page.change('hidden')
  pageWindow.dispatchEvent(new Event('pageshow'))
  expect(heard).toEqual(['hidden', 'shown', 'left', 'shown'])
  stop()
  page.change('hidden')
  pageWindow.dispatchEvent(new Event('pagehide'))
  pageWindow.dispatchEvent(new Event('pageshow'))
  expect(heard).toHaveLength(4)
})

test('B55: flushOnPageHide takes several targets, of anybody, and contains what they throw', async () => {
  const warnings: string[] = []
  const logger = {
    error() {},
    warn: (text: string) => void warnings.push(text),
    info() {},
    debug() {},
    verbose() {},
  }
  diag.setLogger(logger, DiagLogLevel.WARN)
  const forceFlush = vi.fn(async () => {})
  flushOnPageHide(
    { forceFlush: () => Promise.reject(new Error('rejected')) },
    {
      forceFlush() {
        throw new Error('thrown')
      },
    },
    { forceFlush },
  )
  page.change('hidden')
  await microtasks()
  diag.disable()
  expect(forceFlush).toHaveBeenCalledTimes(1)
  expect(warnings.toSorted()).toEqual([
    'tailrace: a flush on page hide failed: rejected',
    'tailrace: a flush on page hide failed: thrown',
  ])
})

test.each([
  [undefined, 'undefined'],
  [null, 'null'],
  [{}, '[object Object]'],
  ['page', '"page"'],
])('flushOnPageHide refuses %s as a target, and names it', (target, shown) => {
  expect(() => flushOnPageHide(target as unknown as PageFlushTarget)).toThrow(
    new TypeError(
      `flushOnPageHide: a target must be a processor or a provider with forceFlush, not ${shown}`,
    ),
  )
})

test('where there is no document nothing happens', () => {
  vi.stubGlobal('document', undefined)
  expect(flushOnPageHide({ async forceFlush() {} })()).toBeUndefined()
})
