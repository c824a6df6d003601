/** The property: whatever happens, the processor and the model agree. */
import fc from 'fast-check'
import { ENCODING_OUTCOMES, STOCK_OUTCOMES } from './collector.ts'
import { COMMANDS, sequences } from './commands.ts'
import { Coverage, type CoveragePlan } from './coverage.ts'
import { settings } from './settings.ts'
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

/** What a run of many sequences came to. */
export interface ModelRun {
  readonly coverage: Coverage
  /** Seed, path, settings and the shortest sequence of commands that fails; `undefined` if all is well. */
  readonly failure: string | undefined
}

/** Where a failing sequence is found again. */
export interface Replay {
  readonly path?: string | undefined
  readonly replayPath?: string | undefined
  /** The first failure ends the run as it is: quick, and hard to read. */
  readonly endsOnFailure?: boolean
}

/** Runs `count` sequences; the same seed gives the same ones. */
export async function runSequences(seed: number, count: number, replay: Replay = {}): Promise<ModelRun> {
  const coverage = new Coverage(PLAN)
  const property = fc.asyncProperty(
    settings,
    sequences(MAX_COMMANDS, replay.replayPath),
    async (settings, commands) => {
      const system = new System(settings)
      const sender = settings.exporter === 'stock' ? 'stock exporters' : 'our exporters'
      system.onCommand = (kind) => coverage.note(sender, system.lastOutcome, kind)
      try {
        await fc.asyncModelRun(() => ({ model: system, real: system }), commands)
        await system.finish()
      } finally {
        system.dispose()
        coverage.lengths.push(system.commandCount)
      }
    },
  )
  const details = await fc.check(property, parametersOf(seed, count, replay))
  return { coverage, failure: details.failed ? describe(details) : undefined }
}

export function parametersOf(seed: number, count: number, { path, endsOnFailure = false }: Replay) {
  return { seed, numRuns: count, endOnFailure: endsOnFailure, ...(path !== undefined && { path }) }
}

/** How the shortest sequence that fails reads, and is found again. */
export function describe<Settings, Command>(details: fc.RunDetails<[Settings, Iterable<Command>]>): string {
  const { seed, counterexamplePath, counterexample, errorInstance, numRuns, numShrinks } = details
  const [settings, commands] = counterexample ?? []
  const text = String(commands)
  const [, replayPath] = /replayPath="([^"]*)"/.exec(text) ?? []
  return [
    `sequence ${numRuns} failed, shrunk ${numShrinks} times: ${errorInstance instanceof Error ? errorInstance.message : errorInstance}`,
    `settings: ${JSON.stringify(settings)}`,
    `commands: ${text.replace(/,?\/\*.*\*\//, '').replaceAll('),', ')\n          ')}`,
    `again: TAILRACE_SEED=${seed} TAILRACE_PATH=${counterexamplePath} TAILRACE_REPLAY=${replayPath}`,
  ].join('\n')
}
