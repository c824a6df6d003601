/** The property: whatever happens to processes, disk and backend, what was reported as spooled is not lost. */
import fc from 'fast-check'
import { Coverage } from '../coverage.ts'
import { describe, type ModelRun, parametersOf, type Replay } from '../property.ts'
import { COMMANDS, spoolSequences } from './commands.ts'
import { spoolSettings } from './settings.ts'
import { type Divert, SEEN, SpoolWorld } from './world.ts'

const MAX_COMMANDS = 90

/** Runs `count` sequences; the same seed gives the same ones. */
export async function runSpoolSequences(
  seed: number,
  count: number,
  divert: Divert,
  replay: Replay = {},
): Promise<ModelRun> {
  const coverage = new Coverage({ outcomes: { spool: SEEN }, commands: COMMANDS })
  const property = fc.asyncProperty(
    spoolSettings,
    spoolSequences(MAX_COMMANDS, replay.replayPath),
    async (settings, commands) => {
      const world = new SpoolWorld(settings, divert)
      world.onCommand = (kind) => coverage.note('spool', world.lastSeen, kind)
      try {
        await fc.asyncModelRun(() => ({ model: world, real: world }), commands)
        await world.finish()
      } finally {
        world.dispose()
        coverage.lengths.push(world.commandCount)
      }
    },
  )
  const details = await fc.check(property, parametersOf(seed, count, replay))
  return { coverage, failure: details.failed ? describe(details) : undefined }
}
