import { after } from 'next/server'
import { wrapHandler } from 'tailrace/next'
import { processor, tracer } from '../../../wrapped'

export const GET = wrapHandler(
  async (request: Request) => {
    tracer.startSpan('wrapped').end()
    if (new URL(request.url).searchParams.has('broken')) throw new Error('broken')
    return new Response('answered', { headers: { 'x-kept': 'yes' } })
  },
  { processor, after },
)
