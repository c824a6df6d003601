/** Pages in a real Chromium that are hidden, left, closed, frozen and come back, with what is built. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { PipelineStats } from '../../src/types.ts'
import { type Chromium, launchChromium, type Page, whyNoChromium } from '../helpers/chromium.ts'
import { type PageCollector, startPageCollector } from '../helpers/page-collector.ts'
import type { PageProgram, PageSettings } from '../programs/page.ts'

/** What all that outlives a page may take together: https://fetch.spec.whatwg.org/#http-network-or-cache-fetch */
const BUDGET_BYTES = 65_536
const BUDGET_REQUESTS = 30

/** Nothing leaves before the page is hidden. */
const QUIET = {
  maxQueueSize: 20_000,
  maxQueueBytes: 2 ** 30,
  maxExportBatchSize: 20_000,
  maxExportBatchBytes: 2 ** 30,
}

/** Long enough for a page to be gone, in milliseconds. */
const GONE_MILLIS = 1000

const WAIT = { timeout: 20_000, interval: 20 }
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Bundles a page's program with `dist`, as a user's bundler does. */
async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [`${root}${entry}`],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // Otherwise the `paths` of tsconfig.json lead out of dist and into src.
    tsconfigRaw: '{}',
  })
  return outputFiles[0]!.text
}

let chromium: Chromium
/** Without a back/forward cache: a page that is left is gone. */
let forgetful: Chromium
let script: string
let collector: PageCollector

if (whyNoChromium) console.warn(`skipped: ${whyNoChromium}`)

describe.skipIf(whyNoChromium)('in Chromium', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    script = await bundle('test/programs/page.ts')
    chromium = await launchChromium()
    forgetful = await launchChromium('--disable-features=BackForwardCache')
  }, 60_000)
  afterAll(async () => {
    await chromium?.close()
    await forgetful?.close()
  })
  afterEach(() => collector?.close())

  async function openPage(settings: Partial<PageSettings> = {}, browser = chromium): Promise<Page> {
    collector = await startPageCollector(script)
    const query = encodeURIComponent(JSON.stringify({ url: collector.url, ...settings }))
    const page = await browser.open(`${collector.site}?${query}`)
    onTestFinished(() => page.close())
    return page
  }

  /** Calls the page's program. */
  function end(page: Page, ...args: Parameters<PageProgram['end']>): Promise<unknown> {
    return page.evaluate(`program.end(...${JSON.stringify(args)})`)
  }

  function stats(page: Page): Promise<PipelineStats> {
    return page.evaluate('program.processor.stats()')
  }

  /** Another tab comes to the front. */
  async function hide(): Promise<void> {
    const other = await chromium.open(collector.elsewhere)
    onTestFinished(() => other.close())
  }

  const names = () => collector.spans.map(({ name }) => name)
  const whenReceived = (count: number) => vi.waitFor(() => expect(names()).toHaveLength(count), WAIT)
  const whenArrived = (count: number) => vi.waitFor(() => expect(collector.arrived).toBe(count), WAIT)

  it.each(['protobuf', 'json'] as const)(
    'B55: what waits is sent when another tab is chosen: %s',
    async (encoding) => {
      const page = await openPage({ encoding })
      await end(page, 50, 'span')

      await hide()
      await whenReceived(50)

      expect(collector.posts.map(({ contentType }) => contentType)).toEqual([
        encoding === 'json' ? 'application/json' : 'application/x-protobuf',
      ])
      await vi.waitFor(
        async () => expect(await stats(page)).toMatchObject({ exported: 50, pending: 0 }),
        WAIT,
      )
    },
  )

  it.each([
    ['navigating away', (page: Page) => page.navigate(collector.elsewhere)],
    ['closing the tab', (page: Page) => page.close()],
  ])('B55: pagehide and visibilitychange together send once: %s', async (_what, leave) => {
    const page = await openPage()
    await end(page, 100, 'span')

    await leave(page)
    await whenReceived(100)
    await end(
      await chromium.open(`${collector.site}?${encodeURIComponent(JSON.stringify({ url: collector.url }))}`),
      0,
      '',
    )

    expect(collector.posts).toHaveLength(1)
  })

  it.each([
    ['navigating away', 'protobuf', (page: Page) => page.navigate(collector.elsewhere)],
    ['closing the tab', 'json', (page: Page) => page.close()],
    ['choosing another tab', 'protobuf', () => hide()],
  ] as const)(
    'B55: of 10,000 spans error and root spans go first, within the budget: %s, %s',
    async (_what, encoding, leave) => {
      const page = await openPage({ encoding, processor: QUIET })
      await end(page, 10_000, 'span', { rootEvery: 200, errorEvery: 250 })
      collector.hold()

      await leave(page)
      await whenArrived(1)
      collector.release()
      await collector.whenPosts(1)

      expect(collector.mostBytes).toBeLessThanOrEqual(BUDGET_BYTES)
      expect(collector.mostBytes).toBeGreaterThan(BUDGET_BYTES - 4096)
      const received = names()
      expect(received.filter((name) => name.startsWith('error-'))).toHaveLength(40)
      expect(received.filter((name) => name.startsWith('root-'))).toHaveLength(50)
      // In the order in which they ended, and of the others the newest.
      const numbers = received.map((name) => Number(name.split('-').at(-1)))
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
      expect(received.at(-1)).toBe('span-9999')
    },
  )

  it('B55: a page with full batches on their way does not exceed the budget either, and loses none of these', async () => {
    const page = await openPage({ processor: { maxQueueSize: 20_000, maxQueueBytes: 2 ** 30 } })
    collector.hold()
    await end(page, 10_000, 'span', { errorEvery: 250 })
    await whenArrived(1)

    await page.navigate(collector.elsewhere)
    await whenArrived(2)
    collector.release()
    await collector.whenPosts(2)

    expect(collector.mostBytes).toBeLessThanOrEqual(BUDGET_BYTES)
    expect(collector.mostRequests).toBeLessThanOrEqual(BUDGET_REQUESTS)
    expect(names().filter((name) => name.startsWith('error-'))).toHaveLength(40)
    expect(new Set(names()).size).toBe(names().length)
  })

  // The page is long gone when the backend at last allows what it was asked for.
  const departures = [
    ['the tab is closed', (page: Page) => page.close()],
    ['another page is opened', (page: Page) => page.navigate(collector.elsewhere)],
  ] as const

  it.each(departures)('B55: what waits arrives although %s', async (_what, leave) => {
    const page = await openPage({}, forgetful)
    await end(page, 50, 'span')
    collector.hold('OPTIONS')

    await leave(page)
    await vi.waitFor(() => expect(collector.asked).toBe(1), WAIT)
    await sleep(GONE_MILLIS)
    collector.release()
    await whenReceived(50)
  })

  it.each(departures)('B55: an export that is on its way arrives although %s', async (_what, leave) => {
    const page = await openPage({}, forgetful)
    collector.hold('OPTIONS')
    await end(page, 50, 'span')
    page.evaluate('program.processor.flush()').catch(() => {})
    await vi.waitFor(() => expect(collector.asked).toBe(1), WAIT)

    await leave(page)
    await sleep(GONE_MILLIS)
    collector.release()
    await whenReceived(50)
  })

  it('B55: what a background tab still ended is sent when it is closed', async () => {
    const page = await openPage()
    await end(page, 10, 'before')
    await hide()
    await whenReceived(10)
    await vi.waitFor(async () => expect((await stats(page)).pending).toBe(0), WAIT)
    await end(page, 10, 'after')

    await page.close()
    await whenReceived(20)
  })

  it('B55: a page that comes back from the back/forward cache sends the rest: nothing lost, nothing twice', async () => {
    const page = await openPage({ processor: QUIET })
    await end(page, 10_000, 'span', { errorEvery: 250 })
    collector.hold()
    await page.navigate(collector.elsewhere)
    await whenArrived(1)
    collector.release()
    await collector.whenPosts(1)
    const sentFirst = names().length
    expect(sentFirst).toBeLessThan(1000)

    expect(await page.goBack()).toBe(true)
    await whenReceived(10_000)

    expect(new Set(names()).size).toBe(10_000)
    const rest = names()
      .slice(sentFirst)
      .map((name) => Number(name.split('-').at(-1)))
    expect(rest).toEqual(rest.toSorted((a, b) => a - b))
    await vi.waitFor(
      async () => expect(await stats(page)).toMatchObject({ ended: 10_000, exported: 10_000, pending: 0 }),
      WAIT,
    )
  })

  it('B55: what is answered while the page is in the cache counts when it comes back', async () => {
    const page = await openPage()
    await end(page, 50, 'span')
    collector.hold()
    await page.navigate(collector.elsewhere)
    await whenArrived(1)
    collector.release()
    await collector.whenPosts(1)

    expect(await page.goBack()).toBe(true)

    await vi.waitFor(async () => expect(await stats(page)).toMatchObject({ exported: 50, pending: 0 }), WAIT)
    expect(collector.posts).toHaveLength(1)
  })

  it('B55: what was lost while the page was in the cache is sent again when it comes back', async () => {
    const page = await openPage()
    await end(page, 50, 'span')
    collector.answerWith(0)
    await page.navigate(collector.elsewhere)
    await vi.waitFor(() => expect(collector.arrived).toBeGreaterThan(0), WAIT)
    collector.answerWith(200)

    expect(await page.goBack()).toBe(true)
    await vi.waitFor(async () => expect(await stats(page)).toMatchObject({ exported: 50, pending: 0 }), WAIT)

    expect(new Set(names()).size).toBe(50)
  })

  it('B55: a frozen tab sends the rest when it comes to the front again', async () => {
    const page = await openPage({ processor: QUIET })
    await end(page, 2_000, 'span')
    await hide()
    await collector.whenPosts(1)
    await page.freeze()

    await page.activate()
    await whenReceived(2_000)

    expect(new Set(names()).size).toBe(2_000)
    await vi.waitFor(
      async () => expect(await stats(page)).toMatchObject({ exported: 2_000, pending: 0 }),
      WAIT,
    )
  })

  it('B55: what the backend refuses for now waits, and is sent later', async () => {
    const page = await openPage()
    await end(page, 50, 'span')
    collector.answerWith(503)
    await hide()
    await whenArrived(1)
    await vi.waitFor(async () => expect(await stats(page)).toMatchObject({ pending: 50 }), WAIT)
    collector.answerWith(200)

    await page.activate()
    await whenReceived(50)

    await vi.waitFor(async () => expect(await stats(page)).toMatchObject({ exported: 50, pending: 0 }), WAIT)
  })

  it('B55: where others have used up the budget nothing is lost', async () => {
    const page = await openPage({ processor: QUIET })
    collector.hold()
    await page.evaluate(
      `void fetch('${collector.url}', { method: 'POST', keepalive: true, body: new Uint8Array(60000) })`,
    )
    await whenArrived(1)
    await end(page, 200, 'span')

    await hide()
    await whenArrived(2)
    collector.release()
    await vi.waitFor(async () => expect(await stats(page)).toMatchObject({ exported: 200, pending: 0 }), WAIT)
  })

  it('B55: what is compressed otherwise leaves uncompressed when the page does, since that cannot wait', async () => {
    const page = await openPage({ compression: 'gzip' })
    await end(page, 50, 'span')

    await page.close()
    await whenReceived(50)
  })

  it('B55: a flush that waits covers what left when the page was hidden', async () => {
    const page = await openPage()
    await end(page, 50, 'span')
    collector.hold()
    await hide()
    await whenArrived(1)
    await page.evaluate('void (globalThis.flushed = program.processor.flush({ timeoutMillis: 20000 }))')
    collector.release()

    const flushed = await page.evaluate('globalThis.flushed')
    expect(flushed).toMatchObject({ status: 'success', exported: 50, pending: 0 })
  })

  it('B55: disableAutoFlushOnDocumentHide leaves it to flushOnPageHide, which takes a provider, too', async () => {
    const page = await openPage({ processor: { disableAutoFlushOnDocumentHide: true }, withProvider: true })
    await end(page, 50, 'span')

    await hide()
    await whenReceived(50)
  })

  it('B55: the example of the README sends its spans when the tab is closed', async () => {
    const example = readFileSync(`${root}test/examples/browser.ts`, 'utf8')
    const readme = readFileSync(`${root}README.md`, 'utf8')
    expect(readme).toContain(`\`\`\`ts\n${example.slice(example.indexOf('import'))}\`\`\``)
    collector = await startPageCollector(
      `${await bundle('test/examples/browser.ts')}\nglobalThis.provider = provider`,
    )
    const page = await chromium.open(collector.site)
    await page.evaluate(`provider.getTracer('example').startSpan('click').end()`)

    await page.close()
    await whenReceived(1)

    expect(names()).toEqual(['click'])
  })
})
