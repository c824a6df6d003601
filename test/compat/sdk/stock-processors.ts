/** Our exporters under their processors. */
import { InMemorySpanExporter, JsonLinesExporter, OTLPTraceExporter } from 'tailrace'
import { createBatchSpanProcessor, createSimpleSpanProcessor, register } from './sdk.js'
import { endSpans } from './spans.js'

export async function run(backend: string): Promise<unknown> {
  const url = `${backend}/v1/traces`
  const lines: string[] = []
  const inMemory = new InMemorySpanExporter()
  const exporters = {
    protobuf: new OTLPTraceExporter({ url, headers: { 'x-via': 'protobuf' } }),
    json: new OTLPTraceExporter({ url, headers: { 'x-via': 'json' }, encoding: 'json' }),
    gzip: new OTLPTraceExporter({ url, headers: { 'x-via': 'gzip' }, compression: 'gzip' }),
    lines: new JsonLinesExporter({ write: (line) => void lines.push(line) }),
    inMemory,
  }
  const batching = Object.values(exporters).map(createBatchSpanProcessor)
  const simple = createSimpleSpanProcessor(new OTLPTraceExporter({ url, headers: { 'x-via': 'simple' } }))
  const provider = register([...batching, simple])
  endSpans('a', 'b')
  await provider.forceFlush()
  const kept = inMemory.getFinishedSpans().map(({ name }) => name)
  endSpans('c')
  await provider.shutdown()
  return { lines, kept }
}
