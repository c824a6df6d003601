/** Koa, where servers scale to zero. */
import Koa from 'koa'
import { flushAfterResponse } from 'tailrace/koa'
import { processor } from './tracing.ts'

const app = new Koa()
app.use(flushAfterResponse({ processor })) // before all others
app.use((context) => {
  context.body = 'hello'
})
app.listen(Number(process.env.PORT))
