/** Hono, where servers scale to zero. */
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { flushAfterResponse } from 'tailrace/hono'
import { processor } from './tracing.ts'

const app = new Hono()
app.use(flushAfterResponse({ processor })) // before all others
app.get('/hello', (context) => context.text('hello'))
serve({ fetch: app.fetch, port: Number(process.env.PORT) })
