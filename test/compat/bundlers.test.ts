/** A small program through each bundler, for each platform that it is bundled for, and then run there. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { FlushResult } from '../../src/types.ts'
import { type Chromium, launchChromium, whyNoChromium } from '../helpers/chromium.ts'
import { startWorkerd } from '../runtimes/workerd.ts'
import { BUNDLERS, entryOf, folder, type Platform } from './bundlers/bundlers.ts'
import { root } from './consumers.ts'
import { Backend } from './core/backend.ts'

/** Only the JSON encoder says so. */
const JSON_ENCODER = 'kvlistValue'

/** A module of Node, however it is asked for, minified or not. */
const NODE_MODULE =
  /["'`]node:|\b(?:from|import|\w*require)\s*\(?\s*["'`](?:https?["'`]|zlib|async_hooks|perf_hooks)/

if (whyNoChromium) console.warn(`skipped: ${whyNoChromium}`)
let chromium: Chromium

beforeAll(async () => {
  mkdirSync(join(folder, 'programs'), { recursive: true })
  for (const program of ['protobuf', 'json']) {
    const file = `deliver-${program}.mjs`
    cpSync(join(root, 'test/compat/bundlers', file), join(folder, 'programs', file))
  }
  if (!whyNoChromium) chromium = await launchChromium()
}, 60_000)
afterAll(() => chromium?.close())

type Run = (outfile: string, backend: Backend, url: string) => Promise<FlushResult>

const RUN: Record<Platform, Run> = {
  async node(outfile, _backend, url) {
    const child = fork(outfile, [url], { execArgv: [], timeout: 20_000, killSignal: 'SIGKILL' })
    const [{ result }] = (await once(child, 'message')) as [{ result: FlushResult }]
    expect(await once(child, 'exit')).toEqual([0, null])
    return result
  },
  async browser(_outfile, backend, url) {
    const page = await chromium.open(backend.origin)
    return page.evaluate<FlushResult>(`deliver(${JSON.stringify(url)})`)
  },
  async workerd(outfile, _backend, url) {
    const worker = await startWorkerd(readFileSync(outfile, 'utf8'), {
      compatibilityDate: '2026-07-01',
      compatibilityFlags: [],
    })
    onTestFinished(() => worker.stop())
    const [response] = await once(get(new URL(`/?url=${encodeURIComponent(url)}`, worker.url)), 'response')
    return (await json(response)) as FlushResult
  },
}

describe.each(
  BUNDLERS.map((bundler) => [`${bundler.name} ${bundler.version}: Node, browser, workerd`, bundler] as const),
)('bundler %s', (_name, { name, bundle }) => {
  const build = async (program: string, platform: Platform) => {
    const outfile = join(folder, 'out', name, `${program}-${platform}.mjs`)
    mkdirSync(join(folder, 'out', name), { recursive: true })
    await bundle(entryOf(program, platform), outfile, platform)
    return outfile
  }

  describe.each(['node', 'browser', 'workerd'] as const)('for %s', { timeout: 180_000 }, (platform) => {
    const isMissing = platform === 'browser' && whyNoChromium !== undefined

    it.skipIf(isMissing).each([
      ['protobuf', 'OTLPProtobufTraceExporter: no JSON encoder is in it, and it runs'],
      ['json', 'OTLPTraceExporter: the JSON encoder is in it, and it runs'],
    ])('%s: %s', async (program) => {
      const outfile = await build(program, platform)
      const script = readFileSync(outfile, 'utf8')
      const backend = new Backend(new Map(), script)
      await backend.start()
      onTestFinished(() => backend.stop())

      const result = await RUN[platform](outfile, backend, `${backend.origin}/lane/v1/traces`)

      expect(result).toMatchObject({ status: 'success', exported: 1 })
      expect(backend.lane('lane').names).toEqual(['bundled'])
      expect(backend.lane('lane').received[0]!.contentType).toMatch(program)
      // Comments may speak of modules and encoders.
      const { code } = await transform(script, { minifyWhitespace: true, legalComments: 'none' })
      expect(code.includes(JSON_ENCODER)).toBe(program === 'json')
      // Node's transport is chosen by Node's condition alone.
      expect(NODE_MODULE.test(code)).toBe(platform === 'node')
    })
  })
})
