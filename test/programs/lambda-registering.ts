/** A Lambda function that does things to the Extensions API while it is initialised, before its handler is wrapped. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { DiagConsoleLogger, DiagLogLevel, diag } from '@opentelemetry/api'
import { registerExtension } from 'tailrace/lambda'

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2020-01-01/extension`
const { DIAG, MODE, REGISTERS, STARTS_CHILDREN, TAKES_NAME } = process.env

async function register(name: string, events: string[]): Promise<Response> {
  const response = await fetch(`${api}/register`, {
    method: 'POST',
    headers: { 'Lambda-Extension-Name': name },
    body: JSON.stringify({ events }),
  })
  await response.arrayBuffer()
  return response
}

/** An extension of somebody else, which waits for nothing. */
async function runExtension(id: string): Promise<never> {
  for (;;) {
    const headers = { 'Lambda-Extension-Identifier': id }
    await (await fetch(`${api}/event/next`, { headers })).arrayBuffer()
  }
}

if (DIAG) diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN)
if (REGISTERS) await register('other', REGISTERS.split(','))
if (TAKES_NAME) {
  const { headers } = await register('tailrace', ['INVOKE'])
  void runExtension(headers.get('lambda-extension-identifier') ?? '')
}
if (STARTS_CHILDREN) {
  spawnSync(process.execPath, ['--eval', '0'], { stdio: 'inherit' })
  // A thread may be given an environment that tells it nothing.
  const { TAILRACE_LAMBDA_EXTENSION_PID: _, ...env } = process.env
  await once(new Worker(new URL('data:text/javascript,0'), { env }), 'exit')
}
if (MODE === 'after-response' && !TAKES_NAME && !(await registerExtension()))
  throw new Error('not registered')

const { handler: inner } = await import('./lambda-function.ts')

type Event = Parameters<typeof inner>[0] & { register?: { name: string; events: string[] } }

export async function handler(event: Event, context: Parameters<typeof inner>[1]): Promise<unknown> {
  if (event.register) return (await register(event.register.name, event.register.events)).status
  return inner(event, context)
}
