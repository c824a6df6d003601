/**
 * What users of an SDK do with tailrace, one scenario a process, each a module that loads what it needs. test/compat
 * type-checks them with each SDK beside them as sdk.ts, compiles them to ES modules and to CommonJS, and runs them:
 * `node program.js <scenario> <backend>`.
 */
const [, , name, backend = ''] = process.argv

interface Scenario {
  /** @returns What the test is to know of it. */
  run(backend: string): Promise<unknown>
}

import(`./${name}.js`)
  .then(({ run }: Scenario) => run(backend))
  .then((result) => {
    process.send?.({ result })
    process.disconnect?.()
  })
