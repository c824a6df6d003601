import { writeSync } from 'node:fs'
import type { SerializedError } from 'vitest'
import type { Reporter, TestModule, TestSuite } from 'vitest/node'

/**
 * Ends the output with `N passed, N failed` alone on a line, which CI reads.
 *
 * Failed counts the tests that failed or never finished, and each file, suite (its hooks) or unhandled error that
 * failed outside a test. The line is written as the process exits, so that nothing can follow it; a run that ends
 * badly for a reason no test shows counts as one failure.
 */
export default class CountReporter implements Reporter {
  #passed = 0
  #failed = 0
  #skipped = 0
  #ended = false

  onInit(): void {
    process.once('exit', (code) => {
      if (this.#failed === 0 && (code !== 0 || !this.#ended)) this.#failed = 1
      if (this.#failed > 0 && code === 0) process.exitCode = 1
      const skipped = this.#skipped > 0 ? `, ${this.#skipped} skipped` : ''
      writeSync(1, `${this.#passed} passed, ${this.#failed} failed${skipped}\n`)
    })
  }

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<SerializedError>): void {
    this.#passed = 0
    this.#failed = unhandledErrors.length
    this.#skipped = 0
    for (const module of modules) this.#count(module)
    this.#ended = true
  }

  #count(module: TestModule): void {
    const failsOutsideTests = (part: TestModule | TestSuite) => part.errors().length > 0
    if (failsOutsideTests(module)) this.#failed++
    for (const suite of module.children.allSuites()) if (failsOutsideTests(suite)) this.#failed++
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') this.#passed++
      else if (state === 'skipped') this.#skipped++
      else this.#failed++
    }
  }
}
