/** What is asked of the run of a model test. */
import { expect } from 'vitest'
import type { ModelRun, Replay } from './sequences.ts'

/** Runs as many sequences as the environment says, and insists that all is well and every pair was covered. */
export async function expectAllWell(
  defaultCount: number,
  run: (seed: number, count: number, replay: Replay) => Promise<ModelRun>,
): Promise<void> {
  const seed = Number(process.env.TAILRACE_SEED ?? 20_260_101)
  const count = Number(process.env.TAILRACE_SEQUENCES ?? defaultCount)
  const { coverage, failure } = await run(seed, count, {
    path: process.env.TAILRACE_PATH,
    replayPath: process.env.TAILRACE_REPLAY,
    // Mutants need no short counterexample.
    endsOnFailure: process.env.TAILRACE_SHRINK === 'no',
  })

  console.log(`seed ${seed} (TAILRACE_SEED)\n${coverage}`)
  expect(failure).toBeUndefined()
  expect(coverage.lengths.length).toBeGreaterThanOrEqual(count)
  expect(coverage.medianLength).toBeGreaterThanOrEqual(30)
  expect(coverage.missing).toEqual([])
}
