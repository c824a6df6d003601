/** What processor, pipeline and exporter tell each other of the page that they run in. */

/** What happens to a page: it is hidden and may live on, it is left and may never come back, it is back. */
export type PageEvent = 'hidden' | 'left' | 'shown'

/** The method of a processor of ours that takes these. */
export const PAGE = Symbol.for('tailrace.page')

/** What an exporter is told about an attempt in a page. */
export interface PageAttempt {
  /** The page is being hidden: the request leaves at once, in a way that outlives the page, or not at all. */
  readonly mustOutlivePage?: boolean
}

/** What an exporter knows of pages. */
export interface PageSender {
  /** What `maxExportBatchBytes` is unless the user says otherwise. */
  readonly defaultBatchBytes?: number | undefined
  /** How large a payload may be, in bytes, to leave now and outlive the page; `undefined` where nothing does. */
  keepaliveBytes?(): number | undefined
}
