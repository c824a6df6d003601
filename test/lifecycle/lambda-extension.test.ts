import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { runScript } from '../helpers/child-process.ts'

/** An Extensions API whose first event never comes. */
async function startApi() {
  const calls: string[] = []
  const api = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`)
    response.setHeader('Lambda-Extension-Identifier', 'id')
    if (!request.url?.endsWith('/event/next')) response.end('{}')
  })
  api.listen(0, '127.0.0.1')
  await once(api, 'listening')
  const { port } = api.address() as AddressInfo
  return {
    calls,
    address: `127.0.0.1:${port}`,
    stop: () => {
      api.closeAllConnections()
      api.close()
    },
  }
}

const REGISTER = 'POST /2020-01-01/extension/register'
const NEXT = 'GET /2020-01-01/extension/event/next'

test('B50: what the extension asks Lambda for is in no trace, and keeps no process alive', async () => {
  const api = await startApi()
  const { code, output } = await runScript(`
    import { syncBuiltinESMExports } from 'node:module'
    import { createRequire } from 'node:module'
    import { once } from 'node:events'
    import http from 'node:http'
    import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
    import { registerInstrumentations } from '@opentelemetry/instrumentation'
    import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
    import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

    const exporter = new InMemorySpanExporter()
    new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register()
    registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
    createRequire(import.meta.url)('node:http')
    syncBuiltinESMExports()

    Object.assign(process.env, { AWS_LAMBDA_RUNTIME_API: '${api.address}', _HANDLER: 'index.handler' })
    const { registerExtension } = await import('./src/lifecycle/lambda.ts')
    console.log(await registerExtension())
    const [response] = await once(http.get('http://${api.address}/traced'), 'response')
    await once(response.resume(), 'end')
    while (exporter.getFinishedSpans().length === 0) await new Promise((resolve) => setImmediate(resolve))
    console.log(exporter.getFinishedSpans().map(({ attributes }) => attributes['http.target'] ?? attributes['url.full']).join())
  `)
  api.stop()
  expect(code, output).toBe(0)
  expect(api.calls.toSorted()).toEqual([NEXT, 'GET /traced', REGISTER].toSorted())
  const [registered, spans = ''] = output.trim().split('\n')
  expect(registered).toBe('true')
  expect(spans.split(',')).toEqual([expect.stringMatching(/\/traced$/)])
})

test.each([
  ['where there is no Lambda', {}],
  ['in an extension of its own, which knows no handler', { AWS_LAMBDA_RUNTIME_API: '' }],
  [
    'in an environment that is never frozen',
    { AWS_LAMBDA_RUNTIME_API: '', _HANDLER: 'a.b', AWS_LAMBDA_MAX_CONCURRENCY: '2' },
  ],
  [
    'in what the runtime has started',
    { AWS_LAMBDA_RUNTIME_API: '', _HANDLER: 'a.b', TAILRACE_LAMBDA_EXTENSION_PID: '1' },
  ],
])('B50: nothing is registered %s', async (_, env) => {
  const api = await startApi()
  const variables = {
    ...env,
    ...('AWS_LAMBDA_RUNTIME_API' in env && { AWS_LAMBDA_RUNTIME_API: api.address }),
  }
  const { code, output } = await runScript(`
    Object.assign(process.env, ${JSON.stringify(variables)})
    const { isRegistered } = await import('./src/lifecycle/lambda-extension.ts')
    console.log(isRegistered, (await import('./src/lifecycle/lambda-extension-require.ts')).isRegistered)
  `)
  api.stop()
  expect({ code, output }).toEqual({ code: 0, output: 'false false\n' })
  expect(api.calls).toEqual([])
})

test('B50: a Lambda that cannot be reached holds nothing up and throws nothing', async () => {
  const { code, output } = await runScript(`
    Object.assign(process.env, { AWS_LAMBDA_RUNTIME_API: '127.0.0.1:1', _HANDLER: 'index.handler' })
    const { registerExtension } = await import('./src/lifecycle/lambda.ts')
    console.log(await registerExtension())
  `)
  expect({ code, output }).toEqual({ code: 0, output: 'false\n' })
})
