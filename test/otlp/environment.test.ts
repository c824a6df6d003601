import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { captureDiag } from '../helpers/captured-diag.ts'

const PREFIX = 'OTEL_EXPORTER_OTLP_'

/** With a log of its own: what was warned about once elsewhere is news here. */
async function read(variables: Record<string, string>): ReturnType<typeof freshEnvironment> {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(PREFIX + name, value)
  return freshEnvironment()
}

async function freshEnvironment() {
  vi.resetModules()
  return (await import('../../src/otlp/environment.ts')).otlpEnvironment()
}

let log: string[]
beforeEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith(PREFIX)) vi.stubEnv(name, undefined)
  log = captureDiag()
})
afterEach(() => vi.unstubAllEnvs())

describe('otlpEnvironment', () => {
  it('B47: says nothing where nothing, or only blanks, is set', async () => {
    const variables = {
      ENDPOINT: '',
      TRACES_ENDPOINT: '  ',
      HEADERS: ' ',
      TIMEOUT: '',
      PROTOCOL: '',
      COMPRESSION: '',
    }
    expect(await read(variables)).toEqual({
      url: undefined,
      headers: {},
      timeoutMillis: undefined,
      compression: undefined,
      encoding: undefined,
    })
    expect(log).toEqual([])
  })

  it.each([
    ['http://collector:4318', 'http://collector:4318/v1/traces'],
    ['http://collector:4318/', 'http://collector:4318/v1/traces'],
    [' https://collector/otlp/ ', 'https://collector/otlp/v1/traces'],
    ['https://collector/otlp?key=a%2Fb&x=1', 'https://collector/otlp/v1/traces?key=a%2Fb&x=1'],
    ['https://collector?key=a', 'https://collector/v1/traces?key=a'],
    ['HTTPS://Collector', 'https://collector/v1/traces'],
  ])('B47: v1/traces is appended to the path of ENDPOINT: %s', async (ENDPOINT, url) => {
    expect((await read({ ENDPOINT })).url?.href).toBe(url)
  })

  it.each([
    ['https://collector/custom', 'https://collector/custom'],
    ['https://collector/custom/?key=a', 'https://collector/custom/?key=a'],
    ['https://collector', 'https://collector/'],
  ])('B47: TRACES_ENDPOINT is used as it is, and first: %s', async (TRACES_ENDPOINT, url) => {
    expect((await read({ TRACES_ENDPOINT, ENDPOINT: 'http://other' })).url?.href).toBe(url)
  })

  it.each([
    ['collector:4318', 'collector:4318'],
    ['not a url', 'not a url'],
    ['ftp://user:hunter2@collector/?key=hunter2', 'ftp://collector/'],
    ['http://user:hun/ter2@collector:port/?key=hunter2', 'http://collector:port/'],
    ['http://user:hun?ter2@collector:port', 'http://collector:port'],
  ])(
    'B47, B59: an endpoint that is no URL is ignored, with one warning that shows no secret: %s',
    async (url, shown) => {
      expect((await read({ TRACES_ENDPOINT: url, ENDPOINT: 'http://collector' })).url?.href).toBe(
        'http://collector/v1/traces',
      )
      expect(log).toEqual([
        `tailrace: ${PREFIX}TRACES_ENDPOINT=${shown} is ignored: not an http or https URL`,
      ])
    },
  )

  it('B47: headers are in W3C baggage form, percent-decoded, blanks trimmed', async () => {
    const HEADERS = ' Api-Key = a%20b ,x=1=2==, ,empty=,plus=a+b,semi=a;b'
    const { headers } = await read({ HEADERS })
    expect({ ...headers }).toEqual({ 'api-key': 'a b', x: '1=2==', empty: '', plus: 'a+b', semi: 'a;b' })
    expect(log).toEqual([])
  })

  it('B47: headers of TRACES_HEADERS stand above those of HEADERS', async () => {
    const { headers } = await read({ HEADERS: 'a=1,b=1', TRACES_HEADERS: 'B=2,c=2' })
    expect({ ...headers }).toEqual({ a: '1', b: '2', c: '2' })
  })

  it('B47, B59: a header that cannot be decoded or sent is left out, with a warning that names only it', async () => {
    const { headers } = await read({
      HEADERS: 'bad=%E0hunter2,split=a%0D%0Ahunter2,ok=1,wide=%E2%82%AChunter2',
    })
    expect({ ...headers }).toEqual({ ok: '1' })
    expect(log).toHaveLength(3)
    expect(log.join()).toMatch(/header "bad".*header "split".*header "wide"/)
    expect(log.join()).not.toContain('hunter2')
  })

  it('B59: an entry that is not name=value may be a secret, and is not shown', async () => {
    const { headers } = await read({ HEADERS: 'hunter2,=hunter2,sp ace=hunter2,ok=1' })
    expect({ ...headers }).toEqual({ ok: '1' })
    expect(log).toEqual([
      `tailrace: ${PREFIX}HEADERS: an entry that is not name=value is ignored, because it cannot be decoded or sent`,
    ])
  })

  it('B59: a header reaches no prototype', async () => {
    const { headers } = await read({ HEADERS: '__proto__=polluted,constructor=x' })
    expect(Object.getPrototypeOf(headers)).toBeNull()
    expect(Object.entries(headers)).toEqual([
      ['__proto__', 'polluted'],
      ['constructor', 'x'],
    ])
  })

  it.each([
    ['0', 0],
    ['2500', 2500],
    [' 10 ', 10],
    ['2147483647', 2_147_483_647],
  ])('B47: reads a timeout of %s ms', async (TIMEOUT, timeoutMillis) => {
    expect((await read({ TIMEOUT })).timeoutMillis).toBe(timeoutMillis)
    expect((await read({ TIMEOUT: '1', TRACES_TIMEOUT: TIMEOUT })).timeoutMillis).toBe(timeoutMillis)
    expect(log).toEqual([])
  })

  it.each(['-1', 'soon', '10s', 'NaN', 'Infinity', '2147483648'])(
    'B47: ignores a timeout of %s with one warning, and takes the general one',
    async (value) => {
      const environment = await read({ TRACES_TIMEOUT: value, TIMEOUT: '7' })
      expect(environment.timeoutMillis).toBe(7)
      expect(log).toEqual([
        `tailrace: ${PREFIX}TRACES_TIMEOUT=${value} is ignored: expected a number from 0 to 2147483647`,
      ])
    },
  )

  it('B47: enums are case-insensitive, and TRACES_ goes first', async () => {
    const variables = {
      COMPRESSION: 'none',
      TRACES_COMPRESSION: 'GZip',
      PROTOCOL: 'grpc',
      TRACES_PROTOCOL: 'HTTP/JSON',
    }
    expect(await read(variables)).toMatchObject({ compression: 'gzip', encoding: 'json' })
    expect(log).toEqual([])
  })

  it('B47: an unknown enum value is ignored with a warning that says what is known', async () => {
    expect(await read({ COMPRESSION: 'zstd', PROTOCOL: 'carrier pigeon' })).toMatchObject({
      compression: undefined,
      encoding: undefined,
    })
    expect(log).toEqual([
      `tailrace: ${PREFIX}COMPRESSION=zstd is ignored: expected none or gzip`,
      `tailrace: ${PREFIX}PROTOCOL=carrier pigeon is ignored: expected http/protobuf or http/json or grpc`,
    ])
  })

  it('B62: http/protobuf and http/json are taken, grpc says what to do instead', async () => {
    expect(await read({ PROTOCOL: 'http/protobuf' })).toMatchObject({ encoding: 'protobuf' })
    expect(await read({ PROTOCOL: 'http/json' })).toMatchObject({ encoding: 'json' })
    expect(log).toEqual([])
    expect(await read({ PROTOCOL: 'grpc' })).toMatchObject({ encoding: 'protobuf' })
    expect(log).toHaveLength(1)
    expect(log[0]).toMatch(/PROTOCOL=grpc is not supported.*http\/protobuf.*4318/)
  })
})

describe('reading the environment', () => {
  async function fresh(): Promise<typeof import('../../src/environment.ts')> {
    vi.resetModules()
    return import('../../src/environment.ts')
  }

  it.each([undefined, null, {}, { env: undefined }, { env: { NAME: 5 } }])(
    'B47: process being %o is as good as an empty environment',
    async (process) => {
      const { environmentVariable } = await fresh()
      vi.stubGlobal('process', process)
      const value = environmentVariable('NAME')
      vi.unstubAllGlobals()
      expect(value).toBeUndefined()
    },
  )

  it('B47: an environment that may not be read is as good as an empty one', async () => {
    const { environmentVariable } = await fresh()
    const env = new Proxy(
      {},
      {
        getOwnPropertyDescriptor() {
          throw new Error('Requires env access')
        },
      },
    )
    vi.stubGlobal('process', { env })
    const value = environmentVariable('NAME')
    vi.unstubAllGlobals()
    expect(value).toBeUndefined()
  })

  it('B59: finds nothing that the environment inherits', async () => {
    const { environmentVariable } = await fresh()
    Object.defineProperty(Object.prototype, 'TAILRACE_POLLUTED', { value: 'yes', configurable: true })
    onTestFinished(() => void Reflect.deleteProperty(Object.prototype, 'TAILRACE_POLLUTED'))
    expect(environmentVariable('TAILRACE_POLLUTED')).toBeUndefined()
  })

  it('B47: integers, and both ends of a range', async () => {
    const { environmentNumber } = await fresh()
    const range = { min: 1, max: 3, integer: true }
    const results = ['0', '1', '1.5', '3', '4'].map((value) => {
      vi.stubEnv('TAILRACE_TEST', value)
      return environmentNumber('TAILRACE_TEST', range)
    })
    expect(results).toEqual([undefined, 1, undefined, 3, undefined])
    expect(log[0]).toBe('tailrace: TAILRACE_TEST=0 is ignored: expected an integer from 1 to 3')
    expect(log).toHaveLength(3)
  })

  it('B47: one of several values, in any case; anything else is warned about once per value', async () => {
    const { environmentEnum } = await fresh()
    const results = ['GZIP', 'none', '1', '1', 'yes'].map((value) => {
      vi.stubEnv('TAILRACE_TEST', value)
      return environmentEnum('TAILRACE_TEST', ['none', 'gzip'])
    })
    expect(results).toEqual(['gzip', 'none', undefined, undefined, undefined])
    expect(log).toHaveLength(2)
  })

  it('B59: a value in a warning is cut short', async () => {
    const { environmentEnum } = await fresh()
    vi.stubEnv('TAILRACE_TEST', 'x'.repeat(10_000))
    environmentEnum('TAILRACE_TEST', ['none', 'gzip'])
    expect(log[0]!.length).toBeLessThan(250)
  })

  it('B49: however many things go wrong, the log stays bounded', async () => {
    const { warnOnce } = await fresh()
    for (let index = 0; index < 10_000; index++) warnOnce(`warning ${index}`)
    expect(log).toHaveLength(256)
  })

  it('B60: a logger that throws is contained', async () => {
    const { warnOnce } = await fresh()
    const { diag } = await import('@opentelemetry/api')
    const warn = vi.spyOn(diag, 'warn').mockImplementation(() => {
      throw new Error('disk full')
    })
    warnOnce('anything')
    expect(warn).toHaveBeenCalledOnce()
  })
})
