import { existsSync } from 'node:fs'
import { describe, it } from 'vitest'
import { type Recipe, whatIsMissing } from './recipes.ts'

/** Describes tests that need a receiver. Without it they are skipped, and say why; in CI that is a failure. */
export function describeWith(recipe: Recipe, name: string, body: () => void): void {
  if (existsSync(recipe.binary)) {
    describe(name, body)
    return
  }
  const why = `${recipe.name} is not built: it takes ${whatIsMissing() ?? 'npm run test:interop'}`
  if (process.env.CI) {
    it(name, () => {
      throw new Error(why)
    })
  } else {
    describe.skip(`${name} [${why}]`, body)
  }
}
