/** Runs the rounds of a question. */
import { join } from 'node:path'
import type { Fixture } from './fixture.ts'
import { type Receiver, runVariant, startReceiver } from './processes.ts'
import type { Bench, Round, RoundOptions, Sample, TurnOptions, Turns } from './question.ts'
import { takeTurns } from './turns.ts'

/** Makes benches, one for each question. */
export interface Benches {
  about(question: string): Bench
}

/** The variants in another order each time: first forwards, then backwards, each time beginning elsewhere. */
function order(variants: readonly string[], round: number): string[] {
  const start = (round >> 1) % variants.length
  const turned = [...variants.slice(start), ...variants.slice(0, start)]
  return round % 2 === 0 ? turned : turned.reverse()
}

async function checkCount(receiver: Receiver, variant: string, { delivered }: Sample): Promise<void> {
  const count = await receiver.takeCount()
  if (count !== delivered) {
    throw new Error(`${variant}: ${delivered} spans were said to be delivered, ${count} arrived`)
  }
}

export function createBench(
  fixture: Fixture,
  programs: string,
  settled: { rounds: number; isQuick: boolean },
): Benches {
  async function rounds(
    question: string,
    variants: readonly string[],
    { settings = {}, receiver: mode, program = `${question}.mjs`, nodeOptions = [], ...own }: RoundOptions,
  ): Promise<Round[]> {
    const receiver = mode && (await startReceiver(mode))
    const results: Round[] = []
    const count = own.rounds ?? settled.rounds
    try {
      for (let round = 0; round < count; round++) {
        const measured: Round = {}
        for (const variant of order(variants, round)) {
          process.stderr.write(`\r${question} ${round + 1}/${count} ${variant}`.padEnd(60))
          const told = { ...settings, seed: round + 1, ...(receiver && { url: receiver.url }) }
          const sample = await runVariant(fixture.node, nodeOptions, join(programs, program), variant, told)
          if (receiver) await checkCount(receiver, variant, sample)
          measured[variant] = sample
        }
        results.push(measured)
      }
    } finally {
      receiver?.stop()
      process.stderr.write(`\r${''.padEnd(60)}\r`)
    }
    return results
  }

  async function turns(
    question: string,
    variants: readonly string[],
    count: number,
    { settings = {}, nodeOptions = [] }: TurnOptions,
  ): Promise<Turns[]> {
    const program = join(programs, `${question}.mjs`)
    const results: Turns[] = []
    for (let round = 0; round < settled.rounds; round++) {
      process.stderr.write(`\r${question} ${round + 1}/${settled.rounds} in turns`.padEnd(60))
      results.push(
        await takeTurns(fixture.node, nodeOptions, program, order(variants, round), settings, count),
      )
    }
    process.stderr.write(`\r${''.padEnd(60)}\r`)
    return results
  }

  return {
    about: (question) => ({
      isQuick: settled.isQuick,
      nodeMajor: fixture.nodeMajor,
      fixture: fixture.directory,
      sdk: fixture.sdk,
      rounds: (variants, options = {}) => rounds(question, variants, options),
      turns: (variants, count, options = {}) => turns(question, variants, count, options),
    }),
  }
}
