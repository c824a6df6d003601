import { after } from 'next/server'
import { wrapHandler } from 'tailrace/next'
import { processor, tracer } from '../../../wrapped'

export const runtime = 'edge'

export const GET = wrapHandler(
  async (request: Request) => {
    tracer.startSpan('edge wrapped').end()
    if (new URL(request.url).searchParams.has('broken')) throw new Error('broken')
    return new Response('answered')
  },
  { processor, after },
)
