/** The measuring process: runs one variant and prints its sample as JSON. */
import type { Question } from './question.ts'
import { answerTurns } from './turns.ts'

export async function answer({ name, measure, turns }: Question): Promise<void> {
  const { variant, settings } = JSON.parse(process.argv[2] as string)
  if (turns !== undefined) return answerTurns(turns, variant, settings)
  if (measure === undefined) throw new Error(`${name} measures nothing`)
  const sample = await measure(variant, settings)
  process.stdout.write(`${JSON.stringify(sample)}\n`, () => process.exit())
}
