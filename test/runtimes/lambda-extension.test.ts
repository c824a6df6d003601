/** The internal extension: the ways to register it, and what Lambda makes of it. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, onTestFinished, test } from 'vitest'
import { type Deployment, describeInLambda, paths, withFunction } from '../helpers/lambda-function.ts'
import { answersAfter } from '../helpers/misbehaviours.ts'

const source = 'programs/lambda-function.ts'
const AFTER = { MODE: 'after-response' }

/** A layer: a folder somewhere else. */
async function makeLayer(): Promise<string> {
  const layer = await mkdtemp(join(tmpdir(), 'tailrace-layer-'))
  onTestFinished(() => rm(layer, { recursive: true }))
  return layer
}

async function bundledInto(layer: string): Promise<string> {
  const outfile = join(layer, 'bundle.mjs')
  await build({
    entryPoints: [join(paths.dist, 'lambda/extension.js')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
  })
  return outfile
}

/** Whether a preload registers the extension, and not what is loaded after it. */
async function expectPreloaded(NODE_OPTIONS: string): Promise<void> {
  const env = { MODE: 'before-response', NODE_OPTIONS }
  await withFunction({ source, env }, async ({ environment }) => {
    expect(environment.extensions.map(({ name }) => name)).toEqual(['tailrace'])
  })
  await expectHeld({ env: { MODE: 'after-response', NODE_OPTIONS } })
}

/** Whether the environment is held after the response, until the spans are out. */
async function expectHeld(deployment: Omit<Deployment, 'source'> & { source?: string }): Promise<void> {
  await withFunction({ source, ...deployment }, async ({ environment, collector }) => {
    expect(environment.initError).toBeUndefined()
    expect(environment.extensions.map(({ name }) => name)).toEqual(['tailrace'])
    expect(environment.refusals).toEqual([])
    for (let i = 0; i < 3; i++) {
      collector.requests.script({
        stage: 'request',
        act: (socket, request) =>
          answersAfter(new Promise((resolve) => setTimeout(resolve, 100)), 200).act(socket, request),
      })
      const { requestId, acceptedMillis } = await environment.invoke({ spans: 2 })
      expect(acceptedMillis).toBeGreaterThan(95)
      expect(collector.spansOf(requestId).sort()).toEqual(['0', '1', 'root'])
    }
  })
}

describeInLambda('the internal extension is registered', () => {
  test('B50: by the preload, by its name', async () => {
    await expectPreloaded('--import=tailrace/lambda/extension')
  })

  test('B50: by the preload as a single file in a layer', async () => {
    const file = join(await makeLayer(), 'extension.mjs')
    await copyFile(join(paths.dist, 'lambda/extension.js'), file)
    await expectPreloaded(`--import=${file}`)
  })

  test('B50: by the preload in a bundle', async () => {
    const file = await bundledInto(await makeLayer())
    await expectPreloaded(`--import=${file}`)
  })

  test('B50: by --require, of a file in a layer', async () => {
    const file = join(await makeLayer(), 'extension.cjs')
    await copyFile(join(paths.dist, 'lambda/extension.cjs'), file)
    await expectPreloaded(`--require=${file}`)
  })

  test.each([3, 4] as const)(
    'B50: by wrapHandler itself, in a module and in a CommonJS bundle, with runtime client %i',
    async (client) => {
      await expectHeld({ client, env: AFTER })
      await expectHeld({ client, env: AFTER, isBundle: true })
    },
  )

  test('B50: by a call while the environment is initialised', async () => {
    await expectHeld({ source: 'programs/lambda-registering.ts', env: AFTER })
  })

  test('B50: once, whatever the process starts meanwhile', async () => {
    const env = { ...AFTER, NODE_OPTIONS: '--import=tailrace/lambda/extension', STARTS_CHILDREN: 'true' }
    await expectHeld({ source: 'programs/lambda-registering.ts', env })
  })
})

describeInLambda('the environment', () => {
  test('B50: is not held for a handler that is not wrapped, or flushes before the response', async () => {
    const NODE_OPTIONS = '--import=tailrace/lambda/extension'
    for (const [exported, mode] of [
      ['bare', 'after-response'],
      ['handler', 'before-response'],
    ] as const) {
      await withFunction(
        { source, exported, env: { MODE: mode, NODE_OPTIONS } },
        async ({ environment, collector }) => {
          expect(environment.extensions).toHaveLength(1)
          const { requestId, acceptedMillis } = await environment.invoke({})
          expect(acceptedMillis).toBeLessThan(1000)
          if (exported === 'handler') expect(collector.spansOf(requestId)).toHaveLength(2)
        },
      )
    }
  })

  test('B50: a registration that Lambda refuses leaves a flush before the response, and a warning', async () => {
    // Somebody else has taken the name.
    const env = { ...AFTER, DIAG: 'true' }
    await withFunction(
      { source: 'programs/lambda-registering.ts', env: { ...env, TAKES_NAME: 'true' } },
      async (running) => {
        const { environment, collector } = running
        expect(environment.refusals).toEqual(['Extension.AlreadyRegistered'])
        for (let i = 0; i < 2; i++) {
          const { requestId } = await environment.invoke({ spans: 2 })
          expect(collector.spansOf(requestId).sort()).toEqual(['0', '1', 'root'])
        }
        const warnings = environment.output.match(
          /flushing before the response, not after it: Lambda answered 403/g,
        )
        expect(warnings).toHaveLength(1)
      },
    )
  })

  test('the Lambda of these tests refuses SHUTDOWN from an internal extension, and registrations after the initialisation', async () => {
    await withFunction(
      { source: 'programs/lambda-registering.ts', env: { MODE: 'before-response' } },
      async (running) => {
        const { environment } = running
        const register = async (events: string[]) =>
          (await environment.invoke({ register: { name: 'other', events } })).body
        expect(await register(['INVOKE'])).toBe('403')
        expect(environment.refusals).toEqual(['Extension.RegistrationClosed'])
      },
    )
    const env = { MODE: 'before-response', REGISTERS: 'INVOKE,SHUTDOWN' }
    await withFunction({ source: 'programs/lambda-registering.ts', env }, async ({ environment }) => {
      expect(environment.refusals).toEqual(['ShutdownEventNotSupportedForInternalExtension'])
    })
  })
})
