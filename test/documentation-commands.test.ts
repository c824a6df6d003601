/** The commands that the guides print are run, or are known to be there: scripts, questions, packages. */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { MockOtlpServer } from '@elastic/mockotlpserver'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { spool } from 'tailrace/spool'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ReceivedSpans, startReceiver } from './examples/received-spans.ts'
import { API_REFERENCE, blockWith, guideBlocks, guides, root } from './helpers/code-blocks.ts'
import { handMadeSpan } from './helpers/spans.ts'

const blocks = guideBlocks.filter(({ language }) => language === 'sh')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  name: string
  scripts: Record<string, string>
}

/** The commands of a block, without comments, one a line. */
const commands = blocks.flatMap(({ place, code }) =>
  code
    .replaceAll('\\\n', ' ')
    .split('\n')
    .flatMap((line) => line.replace(/(^| )#.*/, '').split(' && '))
    .map((command) => command.trim())
    .filter((command) => command !== '')
    .map((command) => ({ place, command })),
)

/** A command that is none of these fails: nobody would know whether it works. */
const KNOWN: readonly RegExp[] = [
  /^npm (ci|test)$/, // .ci/run runs them.
  /^npm run [\w:]+( -- .*)?$/, // .ci/run runs most; names and flags are compared below.
  /^env \| grep OTEL_$/, // Run below.
  /^curl /, // Run below.
]

/** What the tests need of the system. In CI it must be there. */
const missing = ['bash', 'curl'].filter((name) => spawnSync(name, ['--version']).error !== undefined)
const cannotRun = missing.length > 0 && !process.env.CI
if (cannotRun) console.warn(`skipped: the commands of the guides take ${missing.join(' and ')}`)

/** Runs a block as a reader pastes it. @returns What it prints, and how it ends. */
async function paste(code: string, env: NodeJS.ProcessEnv = {}): Promise<{ stdout: string; exit: number }> {
  try {
    const { stdout } = await promisify(execFile)('bash', ['-c', code], {
      env: { PATH: process.env.PATH, ...env },
      timeout: 20_000,
    })
    return { stdout, exit: 0 }
  } catch (error) {
    const { stdout, code: exit } = error as { stdout: string; code: number }
    return { stdout, exit }
  }
}

describe('commands in blocks', () => {
  it.skipIf(cannotRun).each(blocks.map(({ place, code }) => [place, code]))(
    'are what a shell can read: %s',
    (_place, code) => {
      execFileSync('bash', ['-n', '-c', code], { stdio: 'pipe' })
    },
  )

  it('are run by a test or by CI, or compared with what there is, every one', () => {
    expect(commands.length).toBeGreaterThan(10)
    expect(commands.filter(({ command }) => !KNOWN.some((known) => known.test(command)))).toEqual([])
  })

  it('`npm run bench` knows what it is asked', () => {
    const program = readFileSync(join(root, 'bench/run.ts'), 'utf8')
    const asked = commands.flatMap(
      ({ command }) => /^npm run bench -- (.*)/.exec(command)?.[1]?.split(' ') ?? [],
    )
    expect(asked.length).toBeGreaterThan(4)
    for (const each of asked) {
      if (each.startsWith('--')) expect(program).toContain(`    ${each.slice(2)}: { type:`)
      else if (/^\d+$/.test(each))
        expect(readdirSync(join(root, 'test/runtimes/fixtures'))).toContain(`node-${each}`)
      else expect(readdirSync(join(root, 'bench'))).toContain(`${each}.ts`)
    }
  })
})

describe('commands in the text', () => {
  const mentioned = (pattern: RegExp) =>
    guides
      .filter(([path]) => path !== API_REFERENCE)
      .flatMap(([path, text]) => Array.from(text.matchAll(pattern), ([, name]) => [path, name] as const))

  it('`npm run` names scripts of package.json', () => {
    const runs = mentioned(/\bnpm run (?:-\w+ )?([\w:-]+)/g)
    expect(runs.length).toBeGreaterThan(20)
    expect(runs.filter(([, script]) => !((script ?? '') in manifest.scripts))).toEqual([])
  })

  it('`npm install` names this package', () => {
    const installs = mentioned(/\bnpm install ([@\w/.-]+)/g)
    expect(installs.length).toBeGreaterThan(0)
    expect(installs.filter(([, name]) => name !== manifest.name)).toEqual([])
  })
})

describe.skipIf(cannotRun)('curl', () => {
  let received: ReceivedSpans
  let receiver: MockOtlpServer

  // One for all: each hears what any of them in this process gets.
  beforeAll(async () => {
    receiver = await startReceiver((request) => received.add(request))
  })
  beforeEach(() => {
    received = new ReceivedSpans()
  })
  afterAll(() => receiver.close())

  it('asks a collector that is there, and hears 200 from it, as TROUBLESHOOTING says', async () => {
    const origin = receiver.httpUrl.href.replace(/\/$/, '')
    const { stdout, exit } = await paste(blockWith('env | grep OTEL_'), {
      OTEL_EXPORTER_OTLP_ENDPOINT: origin,
    })

    expect(exit).toBe(0)
    expect(stdout).toMatch(new RegExp(`^OTEL_EXPORTER_OTLP_ENDPOINT=${origin}\r?\nHTTP/1.1 200 OK\r?\n`))
    expect(received.requestCount).toBe(1)
  })

  it('asks where nobody listens, and says that it could not connect', async () => {
    const { exit } = await paste(blockWith('env | grep OTEL_'), {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    })

    expect(exit).toBe(7) // https://curl.se/docs/manpage.html#EXIT
  })

  it('sends a file of the spool', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tailrace-spool-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const nowhere = new OTLPTraceExporter({ url: 'http://127.0.0.1:1/v1/traces' })
    const processor = new BatchSpanProcessor(spool(nowhere, { directory }), { retry: false })
    processor.onEnd(handMadeSpan({ name: 'kept' }))
    await processor.shutdown()
    const [file = ''] = readdirSync(directory).filter((name) => name.endsWith('.pb'))
    const printed = blockWith('--data-binary')
    const [path, name] = /\/var\/spool\/orders\/(\S+)/.exec(printed)!
    const shape = (text: string) => text.replace(/\d/g, '0').replace(/[a-f0]/g, '0')
    expect(shape(file)).toBe(shape(name!))

    const code = printed
      .replace(path, join(directory, file))
      .replace('http://localhost:4318/', receiver.httpUrl.href)
    expect(await paste(code)).toMatchObject({ exit: 0 })
    expect(received.spans).toMatchObject([{ name: 'kept' }])
    expect(existsSync(join(directory, file))).toBe(true)
  })
})
