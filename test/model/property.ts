/** The property: whatever happens, the processor and the model agree. */
import fc from 'fast-check'
import { type SystemCommand, sequences } from './commands.ts'
import { Coverage } from './coverage.ts'
import { type Settings, settings } from './settings.ts'
import { System } from './system.ts'

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
  const coverage = new Coverage()
  const property = fc.asyncProperty(
    settings,
    sequences(MAX_COMMANDS, replay.replayPath),
    async (settings, commands) => {
      const system = new System(settings)
      system.onCommand = (kind) => coverage.note(settings.exporter, system.lastOutcome, kind)
      try {
        await fc.asyncModelRun(() => ({ model: system, real: system }), commands)
        await system.finish()
      } finally {
        system.dispose()
        coverage.lengths.push(system.commandCount)
      }
    },
  )
  const { path, endsOnFailure = false } = replay
  const parameters = {
    seed,
    numRuns: count,
    endOnFailure: endsOnFailure,
    ...(path !== undefined && { path }),
  }
  const details = await fc.check(property, parameters)
  return { coverage, failure: details.failed ? describe(details) : undefined }
}

function describe(details: fc.RunDetails<[Settings, Iterable<SystemCommand>]>): string {
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
