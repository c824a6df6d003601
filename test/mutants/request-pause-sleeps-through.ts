import type { Mutant } from './mutant.ts'

export default {
  why: 'B51: a flush sleeps through a backoff although another request is done with all that it waits for',
  file: 'src/pipeline/request-drain.ts',
  find: 'await this.#wait.until(Math.min(pauseMillis, MAX_POLL_MILLIS))',
  replace: 'await this.#wait.until(pauseMillis)',
  tests: ['test/model/requests.test.ts'],
} satisfies Mutant
