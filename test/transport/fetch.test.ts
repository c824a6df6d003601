import { beforeEach, describe, expect, it, vi } from 'vitest'
import { createTransport } from '../../src/transport/fetch.ts'
import type { FetchFunction, Transport, TransportRequest } from '../../src/transport/transport.ts'

const URL_TEXT = 'http://collector.example/v1/traces'

function request(rest: Partial<TransportRequest> = {}): TransportRequest {
  return {
    url: URL_TEXT,
    headers: { 'x-one': '1' },
    body: Uint8Array.from([1]),
    signal: new AbortController().signal,
    ...rest,
  }
}

/** What `fetch` throws on Node: the reason is in the cause. */
function fetchError(code: string): TypeError {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) })
}

describe('the transport in a page', () => {
  const KIB = 1024

  /** A `fetch` whose requests stay in flight until the test answers. */
  function heldFetch() {
    const inits: RequestInit[] = []
    const answers: (() => void)[] = []
    const fetch: FetchFunction = (_url, init) => {
      inits.push(init)
      return new Promise((resolve) => answers.push(() => resolve(new Response())))
    }
    return { fetch, inits, answers }
  }

  function post(transport: Transport, bytes: number, rest: Partial<TransportRequest> = {}) {
    return transport.post(request({ body: new Uint8Array(bytes), ...rest }))
  }

  beforeEach(() => {
    vi.stubGlobal('document', {})
  })

  it('B55: says how large a body may be, and counts headers, address and what is in flight', async () => {
    const { fetch, inits, answers } = heldFetch()
    const transport = createTransport({ fetch })
    const left = transport.keepaliveBytes!(URL_TEXT, { 'x-one': '1' })
    expect(left).toBeLessThanOrEqual(64 * KIB - 1024 - URL_TEXT.length - 'x-one: 1\r\n'.length)
    expect(left).toBeGreaterThan(62 * KIB)
    expect(transport.keepaliveBytes!(URL_TEXT, { 'x-one': '1', 'x-two': 'y'.repeat(991) })).toBe(left - 1_000)

    const first = post(transport, left - 30 * KIB)
    const other = createTransport({ fetch })
    const leftBeside = other.keepaliveBytes!(URL_TEXT, { 'x-one': '1' })
    expect(leftBeside).toBeLessThan(30 * KIB)
    const second = post(other, leftBeside)
    const third = post(other, 1)
    expect(inits.map(({ keepalive }) => keepalive)).toEqual([true, true, undefined])
    for (const answer of answers) answer()
    await Promise.all([first, second, third])
    expect(transport.keepaliveBytes!(URL_TEXT, { 'x-one': '1' })).toBe(left)
  })

  it('B55: a request that must outlive its page is not made where there is no room for it', async () => {
    const { fetch, inits, answers } = heldFetch()
    const transport = createTransport({ fetch })
    const mustOutlivePage = true
    expect(await post(transport, 64 * KIB, { mustOutlivePage })).toMatchObject({ reason: 'network' })
    const all = Array.from({ length: 31 }, () => post(transport, 1, { mustOutlivePage }))
    expect(inits).toHaveLength(30)
    expect(await all[30]).toMatchObject({ reason: 'network' })
    for (const answer of answers) answer()
    await Promise.all(all)
  })

  it('B55: room is given back when a request is aborted whose fetch never settles', async () => {
    const transport = createTransport({ fetch: () => new Promise(() => {}) })
    const left = transport.keepaliveBytes!(URL_TEXT, {})
    const controller = new AbortController()
    void post(transport, 30 * KIB, { signal: controller.signal })
    expect(transport.keepaliveBytes!(URL_TEXT, {})).toBeLessThan(left)
    controller.abort()
    expect(transport.keepaliveBytes!(URL_TEXT, {})).toBe(left)
  })

  it('B55: after a refusal it does without, until something was answered; what must outlive the page tries', async () => {
    const keepalive: unknown[] = []
    let isRefusing = true
    const fetch: FetchFunction = async (_url, init) => {
      keepalive.push(init.keepalive)
      if (isRefusing) throw new TypeError('Failed to fetch')
      return new Response()
    }
    const transport = createTransport({ fetch })
    expect(await post(transport, 1)).toMatchObject({ reason: 'network', staleSocket: true })
    expect(await post(transport, 1)).toMatchObject({ reason: 'network', staleSocket: false })
    expect(await post(transport, 1, { mustOutlivePage: true })).toMatchObject({ staleSocket: false })
    isRefusing = false
    await post(transport, 1)
    await post(transport, 1)
    expect(keepalive).toEqual([true, undefined, true, undefined, true])
  })
})

describe('the transport over an injected or replaced fetch', () => {
  it('B31: posts with manual redirects, without credentials or keepalive', async () => {
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    const { body, headers, signal, ...rest } = request()
    await createTransport({ fetch }).post({ body, headers, signal, ...rest })
    expect(fetch.mock.calls).toEqual([
      [URL_TEXT, expect.objectContaining({ method: 'POST', headers, body, redirect: 'manual', signal })],
    ])
    expect(fetch.mock.calls[0]![1]).not.toHaveProperty('credentials')
    expect(fetch.mock.calls[0]![1]).not.toHaveProperty('keepalive')
  })

  it('B29: Next.js, which traces every fetch, is told that this is none of the program', async () => {
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    await createTransport({ fetch }).post(request())
    expect(fetch.mock.calls[0]![1]).toMatchObject({ next: { internal: true } })
  })

  it('B31: calls fetch before it returns', () => {
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    void createTransport({ fetch }).post(request())
    expect(fetch).toHaveBeenCalledOnce()
  })

  it('B31: calls fetch without a receiver, as workerd and browsers demand', async () => {
    const receivers: unknown[] = []
    async function fetch(this: unknown): Promise<Response> {
      receivers.push(this)
      return new Response()
    }
    await createTransport({ fetch }).post(request())
    vi.stubGlobal('fetch', fetch)
    await createTransport().post(request())
    expect(receivers).toEqual([undefined, undefined])
  })

  it('B31: takes the global fetch of the moment of the request', async () => {
    const transport = createTransport()
    const replaced = vi.fn(async () => new Response())
    vi.stubGlobal('fetch', replaced)
    await transport.post(request())
    expect(replaced).toHaveBeenCalledOnce()
  })

  it('B31: a redirect that the browser hides has status 0', async () => {
    const hidden = { status: 0, type: 'opaqueredirect', headers: new Headers(), body: null }
    const transport = createTransport({ fetch: async () => hidden as unknown as Response })
    expect(await transport.post(request())).toMatchObject({ kind: 'response', status: 0 })
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['rejects', async () => Promise.reject(new Error('no'))],
    ['rejects with undefined', async () => Promise.reject(undefined)],
    [
      'throws null',
      () => {
        throw null
      },
    ],
  ])('B60: a fetch that %s is a network failure', async (_does, fetch) => {
    const transport = createTransport({ fetch: fetch as FetchFunction })
    expect(await transport.post(request())).toMatchObject({ kind: 'failure', reason: 'network' })
  })

  it.each([undefined, null, 42, 'ok', {}, { status: '200' }])(
    'B60: a fetch that answers %s is refused',
    async (answer) => {
      const transport = createTransport({ fetch: (async () => answer) as unknown as FetchFunction })
      expect(await transport.post(request())).toMatchObject({ kind: 'failure', reason: 'bad_response' })
    },
  )

  it('B60: where there is no fetch at all, that is a network failure', async () => {
    vi.stubGlobal('fetch', undefined)
    expect(await createTransport().post(request())).toMatchObject({ kind: 'failure', reason: 'network' })
  })

  it('B60: a response without a web stream is read all the same', async () => {
    const arrayBuffer = async (): Promise<ArrayBuffer> => Uint8Array.from([1, 2]).buffer
    const fetch = async (): Promise<Response> => ({ status: 200, arrayBuffer }) as Response
    const result = await createTransport({ fetch }).post(request())
    expect(result).toMatchObject({ kind: 'response', status: 200, body: Uint8Array.from([1, 2]) })
    expect(Object(result).header('retry-after')).toBeUndefined()
  })

  it('B40: the body is cancelled when it is refused', async () => {
    const cancel = vi.fn()
    const stream = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1024 * 1024)),
      cancel,
    })
    const result = await createTransport({ fetch: async () => new Response(stream) }).post(request())
    expect(result).toMatchObject({ failure: { reason: 'bad_response' } })
    expect(cancel).toHaveBeenCalledOnce()
  })

  it('B34: a body that ignores the signal is cancelled when it is aborted', async () => {
    const controller = new AbortController()
    let pulled = (): void => {}
    const reading = new Promise<void>((resolve) => {
      pulled = resolve
    })
    const cancel = vi.fn(() => Promise.reject(new Error('cannot even cancel')))
    const stream = new ReadableStream({ pull: () => void pulled(), cancel })
    const transport = createTransport({ fetch: async () => new Response(stream) })
    const pending = transport.post(request({ signal: controller.signal }))
    await reading
    controller.abort()
    expect(await pending).toMatchObject({ status: 200, failure: { reason: 'aborted' } })
    expect(cancel).toHaveBeenCalledOnce()
  })

  it('B34: a response that comes after the abort is cancelled', async () => {
    const controller = new AbortController()
    const cancel = vi.fn()
    let respond = (_response: Response): void => {}
    const response = new Promise<Response>((resolve) => {
      respond = resolve
    })
    const pending = createTransport({ fetch: () => response }).post(request({ signal: controller.signal }))
    controller.abort()
    respond(new Response(new ReadableStream({ cancel })))
    expect(await pending).toMatchObject({ failure: { reason: 'aborted' } })
    expect(cancel).toHaveBeenCalledOnce()
  })

  it('B34: leaves no listener on the signal', async () => {
    const { signal } = new AbortController()
    const add = vi.spyOn(signal, 'addEventListener')
    const remove = vi.spyOn(signal, 'removeEventListener')
    await createTransport({ fetch: async () => new Response('body') }).post(request({ signal }))
    expect(remove.mock.calls).toEqual(add.mock.calls)
    expect(add).toHaveBeenCalledOnce()
  })

  it('B27: only a connection that can have been kept alive may be stale', async () => {
    const fetch = vi
      .fn<FetchFunction>()
      .mockRejectedValueOnce(fetchError('UND_ERR_SOCKET'))
      .mockResolvedValueOnce(new Response())
      .mockRejectedValueOnce(fetchError('UND_ERR_SOCKET'))
      .mockRejectedValueOnce(fetchError('ECONNRESET'))
      .mockRejectedValueOnce(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
      .mockRejectedValueOnce(fetchError('ECONNREFUSED'))
      .mockRejectedValueOnce(fetchError('ENOTFOUND'))
    const transport = createTransport({ fetch })
    const stale: unknown[] = []
    for (let count = 0; count < 7; count++) stale.push(Object(await transport.post(request())).staleSocket)
    expect(stale).toEqual([false, undefined, true, true, true, false, false])
  })

  it('B37: offers no compression where the runtime has none', () => {
    vi.stubGlobal('CompressionStream', undefined)
    expect(createTransport().compress).toBeUndefined()
  })
})
