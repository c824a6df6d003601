/** The property: whatever becomes of its requests, the processor does what the model allows and demands. */
import { type ModelRun, type Replay, runModel } from '../sequences.ts'
import type { Settings } from '../settings.ts'
import { COMMANDS, requestSequences, requestSettings } from './commands.ts'
import { SEEN_OUTCOMES, World } from './world.ts'

/** More than twice the median: fast-check spreads the lengths evenly, and not every command is possible. */
const MAX_COMMANDS = 110

/** Runs `count` sequences; the same seed gives the same ones. */
export function runRequestSequences(seed: number, count: number, replay: Replay = {}): Promise<ModelRun> {
  const test = {
    plan: { outcomes: { requests: SEEN_OUTCOMES }, commands: COMMANDS },
    settings: requestSettings,
    sequences: requestSequences(MAX_COMMANDS, replay.replayPath),
    open: (settings: Settings) => new World(settings),
    seen: ({ lastOutcome }: World) => ['requests', lastOutcome] as const,
  }
  return runModel(test, seed, count, replay)
}
