/** Pages: what waits is sent when the page is hidden, since nobody knows whether it comes back. */
import type { PageEvent } from '../page.ts'
import { messageOf, warn, wrong } from './checks.ts'

/** What is flushed: a processor, ours or anybody's, or a tracer provider. */
export interface PageFlushTarget {
  forceFlush(): Promise<unknown>
}

/** The page's own events, as our processor takes them. The same symbol as in page.ts. */
const PAGE: unique symbol = Symbol.for('tailrace.page') as never

interface OwnProcessor extends PageFlushTarget {
  [PAGE](event: PageEvent): void
}

/**
 * Sends when the page is hidden, once each time: another tab, another app, navigation, closing. Our processors do this
 * by themselves, unless `disableAutoFlushOnDocumentHide`; this is for those with that option, for providers and for
 * processors of others.
 *
 * A processor of ours with an `OTLPTraceExporter` sends one `keepalive` request of the most important spans that fit into
 * what may outlive a page (64 KiB in all), errors first, then local roots; the others wait, and are sent if the page
 * lives or comes back. Whatever else is given has its `forceFlush` called, which nobody waits for. Does nothing where
 * there is no `document`. The listeners never throw.
 *
 * @param targets - Processors and providers, the most important one first: they share the 64 KiB.
 * @returns Stops it.
 * @throws TypeError if one of them has no `forceFlush`.
 * @see https://developer.mozilla.org/docs/Web/API/Document/visibilitychange_event
 *
 * @example
 * ```ts
 * import { flushOnPageHide } from 'tailrace/browser'
 *
 * const stop = flushOnPageHide(processor)
 * ```
 */
export function flushOnPageHide(...targets: PageFlushTarget[]): () => void {
  for (const target of targets) {
    if (typeof target?.forceFlush !== 'function') {
      throw wrong('flushOnPageHide', 'a target', 'a processor or a provider with forceFlush', target)
    }
  }
  const { document } = globalThis as Partial<typeof globalThis>
  if (typeof document?.addEventListener !== 'function') return () => {}
  let isHidden = false

  const tell = (event: PageEvent) => {
    isHidden = event !== 'shown'
    for (const target of targets) notify(target, event)
  }
  // After `hidden`, too: a tab in the background goes on working, and what ended there waits.
  const onPageHide = () => tell('left')
  const onPageShow = () => {
    if (isHidden) tell('shown')
  }
  const onVisibilityChange = () => {
    if (document.visibilityState !== 'hidden') onPageShow()
    else if (!isHidden) tell('hidden')
  }

  document.addEventListener('visibilitychange', onVisibilityChange)
  globalThis.addEventListener?.('pagehide', onPageHide)
  globalThis.addEventListener?.('pageshow', onPageShow)
  return () => {
    document.removeEventListener('visibilitychange', onVisibilityChange)
    globalThis.removeEventListener?.('pagehide', onPageHide)
    globalThis.removeEventListener?.('pageshow', onPageShow)
  }
}

function notify(target: PageFlushTarget, event: PageEvent): void {
  try {
    if (isOwn(target)) target[PAGE](event)
    else if (event !== 'shown') Promise.resolve(target.forceFlush()).catch(warnOf)
  } catch (cause) {
    warnOf(cause)
  }
}

function isOwn(target: PageFlushTarget): target is OwnProcessor {
  return typeof (target as Partial<OwnProcessor>)[PAGE] === 'function'
}

function warnOf(cause: unknown): void {
  warn(`a flush on page hide failed: ${messageOf(cause)}`)
}
