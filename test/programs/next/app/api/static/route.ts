/** Run by `next build`. */
import { after } from 'next/server'
import { wrapHandler } from 'tailrace/next'
import { processor, tracer } from '../../../wrapped'

export const dynamic = 'force-static'

export const GET = wrapHandler(
  () => {
    tracer.startSpan('static route').end()
    return new Response('static')
  },
  { processor, after },
)
