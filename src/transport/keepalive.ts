/**
 * Requests that outlive their page. A browser lets all of a page's keepalive requests and beacons together have 64 KiB
 * in flight, and refuses what exceeds that: https://fetch.spec.whatwg.org/#http-network-or-cache-fetch (step 8.10).
 * It does not say how much is left, so what is ours is counted here, for all exporters of the page.
 */

const MAX_BYTES = 64 * 1024
/** Chromium drops what a page sends beyond these. */
const MAX_REQUESTS = 30
/** For the headers that the browser adds. */
const BROWSER_HEADER_BYTES = 1024

let bytesInFlight = 0
let requestsInFlight = 0

/** How large a body may be to go out now beside what is in flight, in bytes; negative if not even an empty one. */
export function keepaliveBytesLeft(url: string, headers: Readonly<Record<string, string>>): number {
  if (requestsInFlight === MAX_REQUESTS) return -1
  let bytes = MAX_BYTES - bytesInFlight - BROWSER_HEADER_BYTES - url.length
  for (const name in headers) bytes -= name.length + (headers[name] as string).length + 4
  return bytes
}

/**
 * Counts a request in.
 * @param left - What `keepaliveBytesLeft` said of it.
 * @returns Counts it out, once; `undefined` if there is no room for it.
 */
export function reserveKeepalive(bodyBytes: number, left: number): (() => void) | undefined {
  if (bodyBytes > left) return undefined
  let bytes = bodyBytes + MAX_BYTES - bytesInFlight - left
  bytesInFlight += bytes
  requestsInFlight++
  return () => {
    if (bytes === 0) return
    bytesInFlight -= bytes
    requestsInFlight--
    bytes = 0
  }
}
