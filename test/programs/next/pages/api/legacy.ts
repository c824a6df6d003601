/** The pages router, where `after` has no request scope. */
import type { NextApiRequest, NextApiResponse } from 'next'
import { after } from 'next/server'
import { wrapHandler } from 'tailrace/next'
import { processor, tracer } from '../../wrapped'

export default wrapHandler(
  (_request: NextApiRequest, response: NextApiResponse) => {
    tracer.startSpan('legacy').end()
    response.status(200).send('answered')
  },
  { processor, after },
)
