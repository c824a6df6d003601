import { beforeEach, expect, test, vi } from 'vitest'
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
