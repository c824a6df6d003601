/** Sends 'first', and after a while 'second', with a span that ends then. */
import { after } from 'next/server'
import { wrapHandler } from 'tailrace/next'
import { processor, tracer } from '../../../wrapped'

export const GET = wrapHandler(
  (_request: Request) => {
    const span = tracer.startSpan('stream')
    return new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue('first')
          setTimeout(() => {
            span.end()
            controller.enqueue('second')
            controller.close()
          }, 300)
        },
      }).pipeThrough(new TextEncoderStream()),
    )
  },
  { processor, after },
)
