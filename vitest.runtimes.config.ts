import { defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'

// What needs a runtime that `npm ci` at the top does not bring: `npm run test:runtimes` installs it first.
export default mergeConfig(
  { ...config, test: { ...config.test, include: [], exclude: ['**/node_modules/**'] } },
  defineConfig({ test: { include: ['test/runtimes/**/*.test.ts'] } }),
)
