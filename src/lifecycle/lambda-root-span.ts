/** The root span of an invocation, where no instrumentation makes one. */
import { context, diag, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { LambdaContext } from './lambda-invocation.ts'

/** A span around a handler. No method throws, but what the handler throws. */
export interface RootSpan {
  run<Result>(handler: () => Result): Result
  /** The first call ends it. */
  end(failure?: { readonly error: unknown }): void
}

/** For handlers that an instrumentation has in its care. */
export const NO_ROOT_SPAN: RootSpan = { run: (handler) => handler(), end() {} }

let isColdStart = true

/**
 * Starts the span: kind SERVER, a child of the active span, or of what the event's HTTP headers say.
 * @see https://opentelemetry.io/docs/specs/semconv/faas/aws-lambda/
 */
export function startRootSpan(event: unknown, lambda: LambdaContext | undefined): RootSpan {
  try {
    const { functionName, awsRequestId, invokedFunctionArn } = lambda ?? {}
    const parent = parentContext(event)
    const span = trace.getTracer('tailrace/lambda').startSpan(
      functionName ?? process.env.AWS_LAMBDA_FUNCTION_NAME ?? 'lambda',
      {
        kind: SpanKind.SERVER,
        attributes: {
          'faas.coldstart': isColdStart,
          ...(awsRequestId && { 'faas.invocation_id': awsRequestId }),
          ...(invokedFunctionArn && {
            'cloud.resource_id': invokedFunctionArn,
            'cloud.account.id': invokedFunctionArn.split(':')[4] ?? '',
          }),
        },
      },
      parent,
    )
    isColdStart = false
    const active = trace.setSpan(parent, span)
    let isOpen = true
    return {
      run: (handler) => context.with(active, handler),
      end(failure) {
        if (isOpen) endSpan(span, failure)
        isOpen = false
      },
    }
  } catch (cause) {
    diag.warn('tailrace/lambda: there is no root span', cause)
    return NO_ROOT_SPAN
  }
}

function parentContext(event: unknown) {
  const active = context.active()
  if (trace.getSpan(active)) return active
  const headers = (event as { headers?: unknown } | null | undefined)?.headers
  if (typeof headers !== 'object' || headers === null) return active
  const carrier = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
  return propagation.extract(active, carrier)
}

function endSpan(span: Span, failure: { readonly error: unknown } | undefined): void {
  try {
    if (failure) {
      const { error } = failure
      span.recordException(error instanceof Error ? error : String(error))
      span.setStatus({
        code: SpanStatusCode.ERROR,
        message: error instanceof Error ? error.message : String(error),
      })
    }
    span.end()
  } catch (cause) {
    diag.warn('tailrace/lambda: the root span cannot be ended', cause)
  }
}
