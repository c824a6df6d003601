import { expect, test } from 'vitest'
import { runSequences } from './property.ts'

const SEED = Number(process.env.TAILRACE_SEED ?? 20_260_101)
const SEQUENCES = Number(process.env.TAILRACE_SEQUENCES ?? 5000)

test('B19: whatever happens in whatever order, the processor does what the model allows and demands', {
  timeout: 300_000,
}, async () => {
  const { coverage, failure } = await runSequences(SEED, SEQUENCES, {
    path: process.env.TAILRACE_PATH,
    replayPath: process.env.TAILRACE_REPLAY,
    // Mutants need no short counterexample.
    endsOnFailure: process.env.TAILRACE_SHRINK === 'no',
  })

  console.log(`seed ${SEED} (TAILRACE_SEED)\n${coverage}`)
  expect(failure).toBeUndefined()
  expect(coverage.lengths.length).toBeGreaterThanOrEqual(SEQUENCES)
  expect(coverage.medianLength).toBeGreaterThanOrEqual(30)
  expect(coverage.missing).toEqual([])
})
