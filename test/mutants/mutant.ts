/** A small mistake, made on purpose: some test has to notice it. */
export interface Mutant {
  /** What is broken, by the behaviour's number. */
  readonly why: string
  /** From the root of the repository. */
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** The test files that have to notice, from the root of the repository. */
  readonly tests: readonly string[]
}
