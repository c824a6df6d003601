/** A program whose spans must not be lost, whatever happens to the collector. */
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushOnExit, shutdownOnSignal } from 'tailrace/node'
import { spool } from 'tailrace/spool'

const exporter = spool(new OTLPTraceExporter(), {
  directory: process.env.SPOOL ?? '/var/spool/orders', // on a disk that survives the container
  maxBytes: 256 * 2 ** 20,
  maxAgeMillis: 24 * 60 * 60 * 1000,
})
const processor = new BatchSpanProcessor(exporter)
new NodeTracerProvider({ spanProcessors: [processor] }).register()
shutdownOnSignal(processor)
flushOnExit(processor)

trace.getTracer('program').startSpan('pay order').end()
const { status, exported, spooled = 0 } = await processor.flush({ timeoutMillis: 3_000 })
console.log(status, { exported, spooled })
