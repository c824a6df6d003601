/** What all model tests have in common: their commands, and the run of many sequences. */
import fc from 'fast-check'
import { Coverage, type CoveragePlan } from './coverage.ts'

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

/** What commands are run on: the code under test, and what it is held against. */
export interface Driven {
  readonly commandCount: number
  onCommand(kind: string): void
  begin(kind: string, detail: string): void
  settle(): Promise<void>
  /** Ends everything, and looks at it for the last time. */
  finish(): Promise<void>
  dispose(): void
}

/** One model test. */
export interface ModelTest<Settings, World extends Driven> {
  readonly plan: CoveragePlan
  readonly settings: fc.Arbitrary<Settings>
  readonly sequences: fc.Arbitrary<Iterable<fc.AsyncCommand<World, World>>>
  open(settings: Settings): World
  /** Who has been sent through, and what came of it last: what a command is counted with. */
  seen(world: World, settings: Settings): readonly [sender: string, outcome: string]
}

/** What makes commands of a world. */
export function commandsOf<World extends Driven, Kind extends string>(
  isUsuallyPossible: (world: Readonly<World>) => boolean,
) {
  return (
    kind: Kind,
    detail: string,
    run: (world: World) => unknown,
    isPossible = isUsuallyPossible,
  ): fc.AsyncCommand<World, World> => ({
    check: isPossible,
    async run(_, world) {
      world.begin(kind, detail)
      await run(world)
      await world.settle()
    },
    toString: () => (detail === '' ? kind : `${kind} (${detail})`),
  })
}

/** Runs `count` sequences; the same seed gives the same ones. */
export async function runModel<Settings, World extends Driven>(
  { plan, settings, sequences, open, seen }: ModelTest<Settings, World>,
  seed: number,
  count: number,
  { path, endsOnFailure = false }: Replay,
): Promise<ModelRun> {
  const coverage = new Coverage(plan)
  const property = fc.asyncProperty(settings, sequences, async (settings, commands) => {
    const world = open(settings)
    world.onCommand = (kind) => coverage.note(...seen(world, settings), kind)
    try {
      await fc.asyncModelRun(() => ({ model: world, real: world }), commands)
      await world.finish()
    } finally {
      world.dispose()
      coverage.lengths.push(world.commandCount)
    }
  })
  const parameters = {
    seed,
    numRuns: count,
    endOnFailure: endsOnFailure,
    ...(path !== undefined && { path }),
  }
  const details = await fc.check(property, parameters)
  return { coverage, failure: details.failed ? describe(details) : undefined }
}

/** How the shortest sequence that fails reads, and is found again. */
function describe<Settings, Command>(details: fc.RunDetails<[Settings, Iterable<Command>]>): string {
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
