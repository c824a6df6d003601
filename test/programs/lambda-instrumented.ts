/** A function whose SDK was preloaded by lambda-sdk.ts. */
import { trace } from '@opentelemetry/api'
import { type LambdaProcessor, type LambdaProvider, wrapHandler } from 'tailrace/lambda'

declare const layer: { processor: LambdaProcessor }
const { MODE, TARGET, TIMEOUT_MILLIS } = process.env

export const handler = wrapHandler(
  async (event: { spans: number }, { awsRequestId }: { awsRequestId: string }) => {
    const tracer = trace.getTracer('function')
    for (let i = 0; i < event.spans; i++) tracer.startSpan(`${awsRequestId}/${i}`).end()
    return { at: performance.timeOrigin + performance.now() }
  },
  {
    ...(TARGET === 'provider'
      ? { provider: trace.getTracerProvider() as unknown as LambdaProvider }
      : { processor: layer.processor }),
    mode: MODE === 'after-response' ? MODE : 'before-response',
    timeoutMillis: Number(TIMEOUT_MILLIS ?? 2000),
  },
)
