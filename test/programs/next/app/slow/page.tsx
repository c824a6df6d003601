import { after, connection } from 'next/server'
import { wrapHandler } from 'tailrace/next'
import { processor, tracer } from '../../wrapped'

async function Page() {
  await connection()
  tracer.startSpan('render slow page').end()
  return <p>rendered</p>
}

export default wrapHandler(Page, { processor, after })
