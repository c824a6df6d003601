/**
 * `OTEL_EXPORTER_OTLP_*` and, above them, `OTEL_EXPORTER_OTLP_TRACES_*`:
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
import { environmentEnum, environmentNumber, environmentVariable, warnOnce } from '../environment.ts'

/** What a timer can hold, in milliseconds. */
export const MAX_TIMEOUT_MILLIS = 2 ** 31 - 1

/** A header's name: https://www.rfc-editor.org/rfc/rfc9110#name-tokens */
const TOKEN = /^[!#$%&'*+.^`|~\w-]+$/

/** A header's value that every HTTP client takes. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Whether a header may be sent as it is: no line breaks, nothing beyond Latin-1. */
export function isHeader(name: string, value: unknown): value is string {
  return TOKEN.test(name) && typeof value === 'string' && HEADER_VALUE.test(value)
}

/** A URL, or what should have been one, for messages: no credentials, no query, no fragment. Never throws. */
export function printableUrl(url: string): string {
  return url.replace(/^([a-z]+:\/\/)?[\s\S]*@/i, '$1').replace(/[?#][\s\S]*/, '')
}

/** Reads an absolute `http:` or `https:` URL; in a browser a relative one will do. `undefined` for anything else. */
export function httpUrl(text: string): URL | undefined {
  try {
    const { location } = globalThis as { location?: { href: string } }
    const url = new URL(text, location?.href)
    return /^https?:$/.test(url.protocol) ? url : undefined
  } catch {
    return undefined
  }
}

/** What the environment says of the exporter; `undefined` where it says nothing that can be used. */
export interface OTLPEnvironment {
  readonly url: URL | undefined
  /** Names in lower case; no prototype. */
  readonly headers: Record<string, string>
  readonly timeoutMillis: number | undefined
  readonly compression: 'none' | 'gzip' | undefined
  readonly encoding: 'protobuf' | 'json' | undefined
}

/** Reads the environment of this moment. Never throws; what cannot be used is warned about once. */
export function otlpEnvironment(): OTLPEnvironment {
  const headers: Record<string, string> = Object.create(null)
  readHeaders('OTEL_EXPORTER_OTLP_HEADERS', headers)
  readHeaders('OTEL_EXPORTER_OTLP_TRACES_HEADERS', headers)
  return {
    url: tracesEndpoint() ?? endpoint(),
    headers,
    timeoutMillis: specific('TIMEOUT', (name) =>
      environmentNumber(name, { min: 0, max: MAX_TIMEOUT_MILLIS }),
    ),
    compression: specific('COMPRESSION', (name) => environmentEnum(name, ['none', 'gzip'])),
    encoding: specific('PROTOCOL', protocol),
  }
}

function specific<T>(name: string, read: (name: string) => T | undefined): T | undefined {
  return read(`OTEL_EXPORTER_OTLP_TRACES_${name}`) ?? read(`OTEL_EXPORTER_OTLP_${name}`)
}

function readUrl(name: string): URL | undefined {
  const text = environmentVariable(name)
  const url = text && httpUrl(text)
  if (url) return url
  if (text) warnOnce(name + text, `${name}=${printableUrl(text)} is ignored: not an http or https URL`)
  return undefined
}

function tracesEndpoint(): URL | undefined {
  return readUrl('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT')
}

function endpoint(): URL | undefined {
  const url = readUrl('OTEL_EXPORTER_OTLP_ENDPOINT')
  if (url) url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`
  return url
}

function protocol(name: string): 'protobuf' | 'json' | undefined {
  const value = environmentEnum(name, ['http/protobuf', 'http/json', 'grpc'])
  if (value === 'grpc') {
    warnOnce(
      name + value,
      `${name}=grpc is not supported, http/protobuf is used: set it to http/protobuf and the endpoint to the ` +
        'OTLP/HTTP one, usually port 4318 instead of 4317',
    )
  }
  return value && (value === 'http/json' ? 'json' : 'protobuf')
}

/**
 * `name=value,name=value` with percent-encoded values, as in W3C Baggage without its properties. Messages name the
 * header, never the value; an entry without a name may be a value by mistake.
 */
function readHeaders(variable: string, headers: Record<string, string>): void {
  for (const entry of environmentVariable(variable)?.split(',') ?? []) {
    if (!entry.trim()) continue
    const equals = entry.indexOf('=')
    const name = entry.slice(0, Math.max(equals, 0)).trim().toLowerCase()
    let value: string | undefined
    try {
      value = decodeURIComponent(entry.slice(equals + 1).trim())
    } catch {
      // Only this header is lost.
    }
    if (isHeader(name, value)) headers[name] = value
    else {
      const which = TOKEN.test(name) ? `header "${name}"` : 'an entry that is not name=value'
      warnOnce(
        `${variable} ${which}`,
        `${variable}: ${which} is ignored, because it cannot be decoded or sent`,
      )
    }
  }
}
