/** Express, where servers scale to zero. */
import express from 'express'
import { flushAfterResponse } from 'tailrace/express'
import { processor } from './tracing.ts'

const app = express()
app.use(flushAfterResponse({ processor })) // before all others
app.get('/hello', (_request, response) => void response.send('hello'))
app.listen(Number(process.env.PORT))
