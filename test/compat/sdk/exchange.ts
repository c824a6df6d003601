import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server answers one request, and is closed. */
export async function exchange(): Promise<void> {
  const server = http.createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', path: '/hello', agent: false }, (response) => {
      response.resume().once('close', resolve)
    })
    request.once('error', reject)
  })
  server.close()
  await once(server, 'close')
}
