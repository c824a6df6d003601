/** Pages. */
export { flushOnPageHide, type PageFlushTarget } from './page-hide.ts'
