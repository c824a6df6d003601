/** The options of the OTLP exporter: validated once, completed from the environment and the defaults. */
import { warnOnce } from '../environment.ts'
import type { TransportOptions } from '../transport/transport.ts'
import { httpUrl, isHeader, MAX_TIMEOUT_MILLIS, otlpEnvironment, printableUrl } from './environment.ts'

/** What `new OTLPTraceExporter()` takes. Everything may be left out, and stands above the environment. */
export interface OTLPTraceExporterOptions extends TransportOptions {
  /**
   * Where to send, used as it is. Credentials in it become an `Authorization` header. Default: the environment, then
   * `http://localhost:4318/v1/traces`.
   */
  readonly url?: string | URL | undefined
  /**
   * Request headers, above those of the environment; a function is called once for each attempt, and its failure
   * makes that attempt fail. `Content-Type`, `Content-Encoding`, `Content-Length` and `Transfer-Encoding` are ours.
   */
  readonly headers?: Record<string, string> | HeadersFunction | undefined
  /** Bound on one batch with all its attempts and waits, in milliseconds; 0 = none. Default 10,000, as specified. */
  readonly timeoutMillis?: number | undefined
  /** Bound on one attempt, in milliseconds; 0 = none. Default: none of its own. */
  readonly attemptTimeoutMillis?: number | undefined
  /** Default `'none'`, as specified. */
  readonly compression?: 'none' | 'gzip' | undefined
  /** Default `'protobuf'`, as specified. */
  readonly encoding?: 'protobuf' | 'json' | undefined
  /** A larger request body, before compression, is never sent. Default 64 MiB. */
  readonly maxRequestBytes?: number | undefined
  /** Put before our own `User-Agent`. */
  readonly userAgent?: string | undefined
}

/** Gives the headers of one attempt: a fresh token, for example. */
export type HeadersFunction = () => Record<string, string> | Promise<Record<string, string>>

/** Everything settled. */
export interface OTLPConfiguration {
  /** Without credentials. */
  readonly url: string
  /** The URL for messages. */
  readonly target: string
  /** Of every request. Names in lower case; no prototype. */
  readonly headers: Record<string, string>
  readonly headersFunction: HeadersFunction | undefined
  readonly timeoutMillis: number | undefined
  readonly attemptTimeoutMillis: number | undefined
  readonly compression: 'none' | 'gzip'
  readonly encoding: 'protobuf' | 'json'
  readonly maxRequestBytes: number
  readonly userAgent: string | undefined
  /** Texts that messages must not hold. */
  readonly secrets: ReadonlySet<string>
}

/** The names of all options: the compiler sees to it that none is missing. */
const KNOWN: Record<keyof OTLPTraceExporterOptions, 1> = {
  url: 1,
  headers: 1,
  timeoutMillis: 1,
  attemptTimeoutMillis: 1,
  compression: 1,
  encoding: 1,
  maxRequestBytes: 1,
  userAgent: 1,
  fetch: 1,
  agent: 1,
  tls: 1,
}

/**
 * Validates the options and fills the gaps.
 * @throws TypeError | RangeError that names the option and the value, but no header value, credentials or query.
 */
export function configure(options: OTLPTraceExporterOptions): OTLPConfiguration {
  if (typeof options !== 'object' || options === null)
    throw invalid(TypeError, 'options', options, 'an object')
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(KNOWN, name)) warnOnce(`OTLPTraceExporter: unknown option ${name} is ignored`)
  }
  const { fetch, agent, tls, headers, userAgent } = options
  if (fetch !== undefined && typeof fetch !== 'function')
    throw invalid(TypeError, 'fetch', fetch, 'a function')
  if (agent !== undefined && Object(agent) !== agent) {
    throw invalid(TypeError, 'agent', agent, 'an Agent, or a function that makes one')
  }
  // Never shown: it may be a key.
  if (tls !== undefined && Object(tls) !== tls) throw invalid(TypeError, 'tls', typeof tls, 'an object')
  if (userAgent !== undefined && !isHeader('user-agent', userAgent)) {
    throw invalid(TypeError, 'userAgent', userAgent, 'text for a header')
  }

  const environment = otlpEnvironment()
  const configuredUrl = options.url === undefined ? environment.url : httpUrl(String(options.url))
  if (options.url !== undefined && !configuredUrl) {
    throw invalid(TypeError, 'url', printableUrl(String(options.url)), 'an http or https URL')
  }
  const url = configuredUrl ?? new URL('http://localhost:4318/v1/traces')
  const secrets = new Set<string>()
  const allHeaders: Record<string, string> = Object.create(null)
  takeCredentials(url, allHeaders, secrets)
  addHeaders(environment.headers, allHeaders, secrets)
  const isFunction = typeof headers === 'function'
  if (headers !== undefined && !isFunction) addHeaders(headers, allHeaders, secrets)

  return {
    url: url.href,
    target: url.origin + url.pathname,
    headers: allHeaders,
    headersFunction: isFunction ? headers : undefined,
    timeoutMillis:
      (number(options, 'timeoutMillis', 0, MAX_TIMEOUT_MILLIS) ?? environment.timeoutMillis ?? 10_000) ||
      undefined,
    attemptTimeoutMillis: number(options, 'attemptTimeoutMillis', 0, MAX_TIMEOUT_MILLIS) || undefined,
    compression: oneOf(options, 'compression', ['none', 'gzip']) ?? environment.compression ?? 'none',
    encoding: oneOf(options, 'encoding', ['protobuf', 'json']) ?? environment.encoding ?? 'protobuf',
    maxRequestBytes: number(options, 'maxRequestBytes', 1, Number.MAX_SAFE_INTEGER) ?? 64 * 1024 * 1024,
    userAgent,
    secrets,
  }
}

/**
 * Adds headers to those that are there.
 * @param secrets - Receives what messages must not hold.
 * @throws TypeError that names the header which cannot be sent, never its value.
 */
export function addHeaders(
  headers: Record<string, string>,
  target: Record<string, string>,
  secrets: Set<string>,
): void {
  if (typeof headers !== 'object' || headers === null)
    throw invalid(TypeError, 'headers', typeof headers, 'an object')
  for (const [name, value] of Object.entries(headers)) {
    if (!isHeader(name, value)) {
      throw new TypeError(
        `OTLPTraceExporter: header ${JSON.stringify(name)} has a name or value that cannot be sent`,
      )
    }
    target[name.toLowerCase()] = value
    addSecrets(value.split(/\s+/), secrets)
  }
}

/** Very short texts hide nothing, and taking them out would make messages unreadable. */
function addSecrets(texts: Iterable<string>, secrets: Set<string>): void {
  for (const text of texts) if (text.length > 3) secrets.add(text)
}

/** `fetch` refuses URLs with credentials, and they would be in every message. */
function takeCredentials(url: URL, headers: Record<string, string>, secrets: Set<string>): void {
  const { username, password } = url
  addSecrets([...url.searchParams.values(), url.search], secrets)
  if (!username && !password) return
  const decoded = [username, password].map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      return part
    }
  })
  const bytes = new TextEncoder().encode(decoded.join(':'))
  const basic = btoa(String.fromCharCode(...bytes))
  headers.authorization = `Basic ${basic}`
  addSecrets([username, password, ...decoded, basic], secrets)
  url.username = url.password = ''
}

function number(
  options: OTLPTraceExporterOptions,
  name: 'timeoutMillis' | 'attemptTimeoutMillis' | 'maxRequestBytes',
  min: number,
  max: number,
): number | undefined {
  const value = options[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw invalid(TypeError, name, value, 'a number')
  if (!(value >= min && value <= max)) throw invalid(RangeError, name, value, `from ${min} to ${max}`)
  return value
}

function oneOf<Name extends 'compression' | 'encoding'>(
  options: OTLPTraceExporterOptions,
  name: Name,
  values: readonly unknown[],
): OTLPTraceExporterOptions[Name] {
  const value = options[name]
  if (value === undefined || values.includes(value)) return value
  throw invalid(RangeError, name, value, values.join(' or '))
}

function invalid(
  ErrorType: TypeErrorConstructor | RangeErrorConstructor,
  name: string,
  value: unknown,
  expected: string,
): Error {
  return new ErrorType(`OTLPTraceExporter: ${name} must be ${expected}, not ${String(value).slice(0, 100)}`)
}
