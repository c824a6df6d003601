/** Pages: what waits is sent when the page is hidden, since nobody knows whether it comes back. */

/** Something that can be flushed. */
export interface Flushable {
  flush(): unknown
}

/**
 * Flushes once for each time that the page is hidden: another tab, another app, navigation, closing. `visibilitychange`
 * and `pagehide` both come then, in an order that differs between browsers; what comes second is passed over.
 * Does nothing where there is no `document`. Never throws.
 *
 * @returns Stops it.
 * @see https://developer.mozilla.org/docs/Web/API/Document/visibilitychange_event
 */
export function flushOnPageHide(flushable: Flushable): () => void {
  const { document } = globalThis as Partial<typeof globalThis>
  if (typeof document?.addEventListener !== 'function') return () => {}
  let isFlushed = false

  const onHide = () => {
    if (isFlushed) return
    isFlushed = true
    flushable.flush()
  }
  const onShow = () => {
    isFlushed = false
  }
  const onVisibilityChange = () => {
    if (document.visibilityState === 'hidden') onHide()
    else onShow()
  }

  document.addEventListener('visibilitychange', onVisibilityChange)
  globalThis.addEventListener?.('pagehide', onHide)
  globalThis.addEventListener?.('pageshow', onShow)
  return () => {
    document.removeEventListener('visibilitychange', onVisibilityChange)
    globalThis.removeEventListener?.('pagehide', onHide)
    globalThis.removeEventListener?.('pageshow', onShow)
  }
}
