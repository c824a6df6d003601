/** The measuring process: runs one variant and prints its sample as JSON. */
import type { Measure } from './question.ts'

export async function answer(measure: Measure): Promise<void> {
  const { variant, settings } = JSON.parse(process.argv[2] as string)
  const sample = await measure(variant, settings)
  process.stdout.write(`${JSON.stringify(sample)}\n`, () => process.exit())
}
