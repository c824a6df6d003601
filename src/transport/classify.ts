/** What an answer, or the lack of one, means for the batch: https://opentelemetry.io/docs/specs/otlp/#failures-1 */
import { ExportError, type ExportErrorCode, type Outcome } from '../types.ts'
import { retryAfterMillis } from './retry-after.ts'
import type { TransportFailure, TransportResponse, TransportResult } from './transport.ts'

/** Texts that are taken out of messages. */
export type Secrets = ReadonlySet<string>

/**
 * Turns what the transport says into an outcome. Throws only what `accept` throws.
 * @param result - How the request ended.
 * @param target - Where it went, for messages; without credentials and query.
 * @param secrets - What messages must not hold.
 * @param accept - Reads a 2xx response whose body is complete.
 */
export function classify(
  result: TransportResult,
  target: string,
  secrets: Secrets,
  accept: (response: TransportResponse) => Outcome,
): Outcome {
  if (result.kind === 'failure') return classifyFailure(result, target, secrets)
  const { status, failure } = result
  const delivered = status >= 200 && status < 300
  // A status that already says no needs no body.
  if (failure && (delivered || failure.reason === 'bad_response'))
    return classifyFailure(failure, target, secrets)
  if (delivered) return accept(result)

  const isRedirect = status === 0 || (status >= 300 && status < 400)
  const message = `${target} answered ${isRedirect ? `with a redirect (${status}), which is not followed` : status}`
  if (status === 413 || (status === 400 && saysTooLarge(result.body)))
    return { kind: 'too_large', error: new ExportError('too_large', message, { status }) }
  const error = new ExportError('http_status', message, { status })
  if (status !== 429 && status !== 502 && status !== 503 && status !== 504) return { kind: 'final', error }
  const millis = retryAfterMillis(result.header('retry-after'), result.header('date'))
  return { kind: 'retryable', error, ...(millis && { retryAfterMillis: millis }) }
}

/**
 * Whether a 400 is a 413 in disguise: so the OpenTelemetry Collector answers to a body above its `max_request_body_size`,
 * and so does what else leaves the words to Go's http.MaxBytesReader. https://pkg.go.dev/net/http#MaxBytesError
 */
function saysTooLarge(body: Uint8Array): boolean {
  return new TextDecoder().decode(body.subarray(0, 1024)).includes('http: request body too large')
}

function classifyFailure(
  { reason, error, staleSocket }: TransportFailure,
  target: string,
  secrets: Secrets,
): Outcome {
  const cause = withoutSecrets(error, secrets)
  const { name, code: causeCode } = Object(cause) as { name?: string; code?: unknown }
  const isTimeout = reason === 'aborted' && (name === 'TimeoutError' || causeCode === 'timeout')
  const code: ExportErrorCode = isTimeout ? 'timeout' : reason
  const why = isTimeout ? 'no answer in time' : reason === 'aborted' ? 'aborted' : describe(cause)
  const exportError = new ExportError(code, `${target}: ${why}`, { cause })
  if (reason === 'bad_response') return { kind: 'final', error: exportError }
  return { kind: 'retryable', error: exportError, ...(staleSocket && { staleSocket }) }
}

/** `fetch` hides what happened in the cause; an attempt at several addresses has a code and no message. */
function describe(error: Error | undefined): string {
  const { message, code, cause } = Object(error) as Error & { code?: unknown }
  const inner = (cause as Error | undefined) && describe(cause as Error)
  return [message || code, inner].filter(Boolean).join(': ') || 'no connection'
}

/** Takes secrets out of a text that somebody else wrote. */
export function redact(text: string, secrets: Secrets): string {
  let redacted = text
  for (const secret of secrets) redacted = redacted.replaceAll(secret, '***')
  return redacted
}

/**
 * The name, message and code of an error and of its causes, without secrets: an error of somebody's HTTP client may
 * carry the whole request along, headers included. Never throws.
 */
export function withoutSecrets(error: unknown, secrets: Secrets, depth = 0): Error | undefined {
  if (error === undefined || depth > 3) return undefined
  try {
    const { name, message, code, cause } = Object(error) as Error & { code?: unknown }
    const copy = new Error(redact(String(message ?? error), secrets), {
      cause: withoutSecrets(cause, secrets, depth + 1),
    })
    const shown = typeof code === 'string' ? redact(code, secrets) : code
    return Object.assign(
      copy,
      { name: redact(String(name ?? 'Error'), secrets) },
      code === undefined ? {} : { code: shown },
    )
  } catch {
    return new Error('an error that cannot be read')
  }
}
