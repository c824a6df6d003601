/**
 * Proxies from the environment, by the conventions of curl. (Node's own `proxyEnv` came with 22.21 and 24.5.) Names no
 * module: it is handed those that it needs.
 */
import type { Agent, ClientRequestArgs } from 'node:http'
import type { AgentOptions } from 'node:https'
import { environmentVariable, warnOnce } from '../environment.ts'

/** The proxy that the environment names for a URL; `undefined` for none. Never throws. */
export function proxyFor({ protocol, hostname, port }: URL): URL | undefined {
  const isTls = protocol === 'https:'
  const name = isTls ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  // In a CGI program the client's `Proxy` header becomes HTTP_PROXY: https://httpoxy.org
  const isForged = !isTls && environmentVariable('REQUEST_METHOD')
  const text = environmentVariable(name.toLowerCase()) ?? (isForged ? undefined : environmentVariable(name))
  if (!text || isExcluded(hostname, port || (isTls ? '443' : '80'))) return undefined
  try {
    const proxy = new URL(text.includes('://') ? text : `http://${text}`)
    if (/^https?:$/.test(proxy.protocol)) return proxy
  } catch {
    // Falls through to the warning.
  }
  // The value may hold credentials.
  warnOnce(`${name} is ignored: not the URL of an http or https proxy`)
  return undefined
}

/** `NO_PROXY`: names, which cover their subdomains, with or without a leading dot or `*.`, and a port; or `*`. */
function isExcluded(hostname: string, port: string): boolean {
  const list = environmentVariable('no_proxy') ?? environmentVariable('NO_PROXY') ?? ''
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === '*' || `[${entry}]` === hostname) return true
      const [, name, onlyPort] = /^(?:\*?\.)?(.*?)(?::(\d+))?$/.exec(entry) ?? []
      return !!name && (!onlyPort || onlyPort === port) && `.${hostname}`.endsWith(`.${name}`)
    })
}

/** Where to connect to for a URL. */
export function address(url: URL): { hostname: string; port: string | number } {
  return {
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port || (url.protocol === 'https:' ? 443 : 80),
  }
}

/** The header that presents the proxy's credentials. */
export function proxyHeaders({ username, password }: URL): Record<string, string> {
  if (!username && !password) return {}
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  return { 'proxy-authorization': `Basic ${credentials.toString('base64')}` }
}

/** What our requests carry to `createConnection`, besides Node's own options. */
export interface TunnelRequest {
  /** Ends a tunnel that is not through yet. */
  readonly connectSignal: AbortSignal
}

/** An agent whose connections are TLS through the CONNECT tunnel of a proxy. */
export function tunnelAgent(
  http: typeof import('node:http'),
  https: typeof import('node:https'),
  proxy: URL,
  options: AgentOptions,
): Agent {
  const agent = new https.Agent(options)
  const createTlsConnection = agent.createConnection.bind(agent)
  agent.createConnection = (target: ClientRequestArgs & Partial<TunnelRequest>, callback) => {
    const host = target.host?.includes(':') ? `[${target.host}]` : target.host
    const authority = `${host}:${target.port}`
    const tunnel = (proxy.protocol === 'https:' ? https : http).request({
      ...address(proxy),
      method: 'CONNECT',
      path: authority,
      headers: { host: authority, ...proxyHeaders(proxy) },
      agent: false,
      signal: target.connectSignal,
    })
    const fail = (error: Error): unknown => callback?.(error, undefined as never)
    tunnel.once('error', fail)
    tunnel.once('response', (response) => {
      response.destroy()
      fail(new Error(`the proxy answered CONNECT with ${response.statusCode}`))
    })
    tunnel.once('connect', ({ statusCode }, socket) => {
      if (statusCode === 200) {
        callback?.(null, createTlsConnection({ ...target, socket } as ClientRequestArgs) as never)
      } else {
        socket.destroy()
        fail(new Error(`the proxy answered CONNECT with ${statusCode}`))
      }
    })
    tunnel.end()
    return undefined
  }
  return agent
}
