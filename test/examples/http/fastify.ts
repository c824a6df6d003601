/** Fastify, where servers scale to zero. */
import { fastify } from 'fastify'
import { flushAfterResponse } from 'tailrace/fastify'
import { processor } from './tracing.ts'

const app = fastify()
app.register(flushAfterResponse({ processor })) // before all others
app.get('/hello', async () => 'hello')
await app.listen({ port: Number(process.env.PORT) })
