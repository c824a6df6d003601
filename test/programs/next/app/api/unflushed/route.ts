import { tracer } from '../../../wrapped'

export async function GET(request: Request) {
  tracer.startSpan('unflushed').end()
  return new Response(`answered ${request.url}`)
}
