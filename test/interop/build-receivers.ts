/** Builds the receivers that the tests need, those that are not built yet: some minutes, once. */
import { existsSync } from 'node:fs'
import { build, recipes, whatIsMissing } from './recipes.ts'

const absent = recipes.filter(({ binary }) => !existsSync(binary))
const missing = absent.length > 0 ? whatIsMissing() : undefined

if (missing === undefined) {
  for (const recipe of absent) {
    console.log(`Building ${recipe.name} from the Go module proxy: some minutes, once`)
    const startedAt = performance.now()
    build(recipe)
    console.log(`Built ${recipe.binary} in ${Math.round((performance.now() - startedAt) / 1000)} s`)
  }
} else {
  const names = absent.map(({ name }) => name).join(' and ')
  const verdict = process.env.CI ? 'FAILED' : 'SKIPPED, not passed'
  console.log(`${verdict}: the tests with ${names}. To build them takes ${missing}.`)
  if (process.env.CI) process.exitCode = 1
}
