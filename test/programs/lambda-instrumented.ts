/** A function whose SDK was preloaded by lambda-sdk.ts. */
import { trace } from '@opentelemetry/api'
import { type FlushableProcessor, wrapHandler } from 'tailrace/lambda'

declare const layer: { processor: FlushableProcessor }
const { MODE, TARGET, TIMEOUT_MILLIS } = process.env

export const handler = wrapHandler(
  async (event: { spans: number }, { awsRequestId }: { awsRequestId: string }) => {
    const tracer = trace.getTracer('function')
    for (let i = 0; i < event.spans; i++) tracer.startSpan(`${awsRequestId}/${i}`).end()
    return { at: performance.timeOrigin + performance.now() }
  },
  {
    ...(TARGET === 'provider' ? { provider: trace.getTracerProvider() } : { processor: layer.processor }),
    mode: MODE === 'after-response' ? MODE : 'before-response',
    timeoutMillis: Number(TIMEOUT_MILLIS ?? 2000),
  },
)
