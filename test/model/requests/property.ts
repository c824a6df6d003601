/** The property: whatever becomes of its requests, the processor does what the model allows and demands. */
import fc from 'fast-check'
import { Coverage } from '../coverage.ts'
import { describe, type ModelRun, parametersOf, type Replay } from '../property.ts'
import { COMMANDS, requestSequences, requestSettings } from './commands.ts'
import { SEEN_OUTCOMES, World } from './world.ts'

/** More than twice the median: fast-check spreads the lengths evenly, and not every command is possible. */
const MAX_COMMANDS = 110

/** Runs `count` sequences; the same seed gives the same ones. */
export async function runRequestSequences(
  seed: number,
  count: number,
  replay: Replay = {},
): Promise<ModelRun> {
  const coverage = new Coverage({ outcomes: { requests: SEEN_OUTCOMES }, commands: COMMANDS })
  const property = fc.asyncProperty(
    requestSettings,
    requestSequences(MAX_COMMANDS, replay.replayPath),
    async (settings, commands) => {
      const world = new World(settings)
      world.onCommand = (kind) => coverage.note('requests', world.lastOutcome, kind)
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
