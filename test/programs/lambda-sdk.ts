/** What a layer preloads: the SDK, the OpenTelemetry instrumentation of Lambda handlers, and a processor of ours. */
import { register } from 'node:module'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { AwsLambdaInstrumentation } from '@opentelemetry/instrumentation-aws-lambda'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'

register('@opentelemetry/instrumentation/hook.mjs', import.meta.url)

const processor = new BatchSpanProcessor(new OTLPTraceExporter())
const second = new BatchSpanProcessor(new OTLPTraceExporter({ url: process.env.SECOND_URL }))
const provider = new NodeTracerProvider({
  spanProcessors: process.env.SECOND_URL ? [processor, second] : [processor],
})
provider.register()
registerInstrumentations({ instrumentations: [new AwsLambdaInstrumentation()] })

Object.assign(globalThis, { layer: { processor } })
