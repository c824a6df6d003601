/**
 * A receiver of OTLP over HTTP, as a process of its own: `receiver.ts decode|count`. It decodes every span with the
 * official schema, or only counts them. `GET /` answers with what has come so far.
 */
import { createServer, type IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import protobuf from 'protobufjs'
import { countSpans } from './otlp.ts'

const counts = { spans: 0, requests: 0, bytes: 0 }

function createDecoder(): (body: Uint8Array) => number {
  const protoRoot = dirname(createRequire(import.meta.url).resolve('@elastic/mockotlpserver/package.json'))
  const schema = new protobuf.Root()
  schema.resolvePath = (_origin, target) => join(protoRoot, target)
  schema.loadSync('opentelemetry/proto/collector/trace/v1/trace_service.proto')
  const type = schema.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest')
  return (body) => {
    const request = type.decode(body) as unknown as {
      resourceSpans: {
        scopeSpans: { spans: { traceId: Uint8Array; spanId: Uint8Array; name: string }[] }[]
      }[]
    }
    let count = 0
    for (const { scopeSpans } of request.resourceSpans) {
      for (const { spans } of scopeSpans) {
        count += spans.filter(
          (span) => span.traceId.length === 16 && span.spanId.length === 8 && span.name,
        ).length
      }
    }
    return count
  }
}

const count = process.argv[2] === 'decode' ? createDecoder() : countSpans

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const server = createServer(async (request, response) => {
  if (request.method === 'GET') {
    response.end(JSON.stringify(counts))
    return
  }
  const body = await readBody(request)
  counts.spans += count(body)
  counts.requests++
  counts.bytes += body.length
  response.writeHead(200, { 'content-type': 'application/x-protobuf', 'content-length': 0 }).end()
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/\n`)
})
process.once('disconnect', () => process.exit())
