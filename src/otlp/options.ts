/** The options of the OTLP exporter: validated once, completed from the environment and the defaults. */
import { warnOnce } from '../environment.ts'
import type { TransportOptions } from '../transport/transport.ts'
import { httpUrl, isHeader, MAX_TIMEOUT_MILLIS, otlpEnvironment, printableUrl } from './environment.ts'

export type { FetchFunction, HttpAgent, TlsOptions } from '../transport/transport.ts'

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

export type Encoding = 'protobuf' | 'json'

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
  readonly encoding: Encoding
  readonly maxRequestBytes: number
  readonly userAgent: string | undefined
  /** Texts that messages must not hold. */
  readonly secrets: ReadonlySet<string>
}

/** What an option must be. */
interface Check {
  readonly accepts: (value: never) => boolean
  readonly expected: string
  /** Values of this type that are not accepted are a RangeError; all else is a TypeError. */
  readonly type?: 'number' | 'string'
}

function numberFrom(min: number, max: number): Check {
  const accepts = (value: unknown): boolean => typeof value === 'number' && value >= min && value <= max
  return { accepts, expected: `a number from ${min} to ${max}`, type: 'number' }
}

function oneOf(...values: unknown[]): Check {
  return { accepts: (value) => values.includes(value), expected: values.join(' or '), type: 'string' }
}

const isObject = (value: unknown): boolean => Object(value) === value
const aTimeout = numberFrom(0, MAX_TIMEOUT_MILLIS)
const anObject: Check = { accepts: isObject, expected: 'an object' }
const anObjectOrFunction: Check = { accepts: isObject, expected: 'an object or a function' }

const CHECKS: Record<Exclude<keyof OTLPTraceExporterOptions, 'encoding'>, Check> = {
  url: { accepts: (value) => !!httpUrl(String(value)), expected: 'an http or https URL' },
  headers: anObjectOrFunction,
  timeoutMillis: aTimeout,
  attemptTimeoutMillis: aTimeout,
  compression: oneOf('none', 'gzip'),
  maxRequestBytes: numberFrom(1, Number.MAX_SAFE_INTEGER),
  userAgent: { accepts: (value) => isHeader('user-agent', value), expected: 'text for a header' },
  fetch: { accepts: (value) => typeof value === 'function', expected: 'a function' },
  agent: anObjectOrFunction,
  tls: anObject,
}

/**
 * Validates the options and fills the gaps.
 * @param encodings - Those that the exporter has; protobuf is always one.
 * @throws TypeError | RangeError that names the option and the value, but no header value, credentials or query.
 */
export function configure(
  options: OTLPTraceExporterOptions,
  encodings: readonly Encoding[] = ['protobuf', 'json'],
): OTLPConfiguration {
  check('options', options, anObject)
  const checks: Record<string, Check> = { ...CHECKS, encoding: oneOf(...encodings) }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name)) warnOnce(`OTLPTraceExporter: unknown option ${name} is ignored`)
    else if (value !== undefined) check(name, value, checks[name] as Check)
  }

  const environment = otlpEnvironment()
  let encoding = options.encoding ?? environment.encoding ?? 'protobuf'
  if (!encodings.includes(encoding)) {
    warnOnce('OTLPProtobufTraceExporter has no http/json, which the environment asks for: protobuf is sent')
    encoding = 'protobuf'
  }
  const { headers = {}, userAgent } = options
  const configuredUrl = options.url === undefined ? environment.url : httpUrl(String(options.url))
  const url = configuredUrl ?? new URL('http://localhost:4318/v1/traces')
  const isFunction = typeof headers === 'function'
  const secrets = new Set<string>()
  const allHeaders: Record<string, string> = Object.create(null)
  takeCredentials(url, allHeaders, secrets)
  addHeaders(environment.headers, allHeaders, secrets)
  if (!isFunction) addHeaders(headers, allHeaders, secrets)

  return {
    url: url.href,
    target: url.origin + url.pathname,
    headers: allHeaders,
    headersFunction: isFunction ? headers : undefined,
    timeoutMillis: (options.timeoutMillis ?? environment.timeoutMillis ?? 10_000) || undefined,
    attemptTimeoutMillis: options.attemptTimeoutMillis || undefined,
    compression: options.compression ?? environment.compression ?? 'none',
    encoding,
    maxRequestBytes: options.maxRequestBytes ?? 64 * 1024 * 1024,
    userAgent,
    secrets,
  }
}

function check(name: string, value: unknown, { accepts, expected, type }: Check): void {
  if (accepts(value as never)) return
  const ErrorType = typeof value === type ? RangeError : TypeError
  // Headers and keys in the wrong form are secrets all the same.
  const shown = /^(headers|tls)$/.test(name) ? typeof value : String(value)
  throw new ErrorType(
    `OTLPTraceExporter: ${name} must be ${expected}, not ${name === 'url' ? printableUrl(shown) : shown}`,
  )
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
  check('headers', headers, anObject)
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
