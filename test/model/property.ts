/** The property: whatever happens, the processor and the model agree. */
import { ENCODING_OUTCOMES, STOCK_OUTCOMES } from './collector.ts'
import { COMMANDS, sequences } from './commands.ts'
import type { CoveragePlan } from './coverage.ts'
import { type ModelRun, type Replay, runModel } from './sequences.ts'
import { type Settings, settings } from './settings.ts'
import { type SeenOutcome, System } from './system.ts'

const PLAN: CoveragePlan = {
  outcomes: {
    'our exporters': ['nothing sent', ...ENCODING_OUTCOMES, 'timed out', 'left behind'],
    'stock exporters': ['nothing sent', ...STOCK_OUTCOMES, 'never called back'],
  } satisfies Record<string, SeenOutcome[]>,
  commands: COMMANDS,
  // A request cannot be left behind before there was an outcome: the one that left it behind.
  isPossible: (outcome, command) => !(outcome === 'nothing sent' && command === 'answer late'),
}

/** Twice the median: fast-check spreads the lengths evenly. */
const MAX_COMMANDS = 90

/** Runs `count` sequences; the same seed gives the same ones. */
export function runSequences(seed: number, count: number, replay: Replay = {}): Promise<ModelRun> {
  const test = {
    plan: PLAN,
    settings,
    sequences: sequences(MAX_COMMANDS, replay.replayPath),
    open: (settings: Settings) => new System(settings),
    seen: ({ lastOutcome }: System, { exporter }: Settings) =>
      [exporter === 'stock' ? 'stock exporters' : 'our exporters', lastOutcome] as const,
  }
  return runModel(test, seed, count, replay)
}
