/**
 * kill -9 at any instant: what was reported as spooled is delivered by a fresh process. `TAILRACE_KILLS` says how many
 * writers are killed at random.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { bundleProgram } from '../helpers/bundle.ts'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { CrashingSpool } from './spools.ts'

const KILLS = Number(process.env.TAILRACE_KILLS ?? 300)

let bundle: string
beforeAll(async () => {
  bundle = await bundleProgram('spooling.ts')
})

describe.each(['in the background', 'at once'])('a writer that writes %s', (program) => {
  test.each([
    ['killed', ''],
    ['killed, and all lost that was not synced,', 'yes'],
  ])(
    '%s right before, within and after each write, fsync and rename loses nothing that it reported',
    async (_what, powerCut) => {
      const spool = new CrashingSpool(bundle)
      const { end, calls } = await spool.run(program)
      expect(end).toBe(0)
      // Three batches: write, fsync, rename, and fsync of the directory.
      expect(calls).toBe(12)
      expect(spool.kept.size).toBe(15)

      for (let call = 1; call <= calls; call++) {
        for (const when of call % 4 === 1 ? ['before', 'half', 'after'] : ['before', 'after']) {
          expect(await spool.run(program, { killAt: `${call} ${when}`, powerCut })).toMatchObject({
            end: 'SIGKILL',
          })
        }
      }

      // Whoever dies in the second batch has reported the first one, and so on.
      expect(spool.kept.size).toBe(15 + 9 * 5 + 9 * 10)
      await spool.expectAllDelivered()
    },
  )
})

test(`a writer killed ${KILLS} times at random loses nothing that it reported`, async () => {
  const spool = new CrashingSpool(bundle)
  const lives = async () => {
    for (let i = 0; i < KILLS / 2; i++) {
      const killAfterMillis = Math.random() * 100
      expect(await spool.run('for ever', { killAfterMillis })).toMatchObject({ end: 'SIGKILL' })
    }
  }

  await Promise.all([lives(), lives()])

  expect(spool.kept.size).toBeGreaterThan(KILLS)
  await spool.expectAllDelivered()
})

test('a reader killed right before and after each rename and unlink loses nothing', async () => {
  const spool = new CrashingSpool(bundle)
  const collector = await startCollector()
  await spool.run('at once')

  for (let call = 1; call <= 6; call++) {
    for (const when of ['before', 'after']) {
      await spool.run('at once')
      const killAt = `${call} ${when}`
      expect(await spool.run('read', { url: collector.url, killAt })).toMatchObject({ end: 'SIGKILL' })
    }
  }

  await spool.expectAllDelivered(collector)
  await collector.stop()
})
