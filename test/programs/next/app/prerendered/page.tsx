import { after } from 'next/server'
import { wrapHandler } from 'tailrace/next'
import { processor, tracer } from '../../wrapped'

function Page() {
  tracer.startSpan('prerender').end()
  return <p>prerendered</p>
}

export default wrapHandler(Page, { processor, after })
