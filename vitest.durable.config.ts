import { defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'

// What must survive the death of a process, and of the power: `npm run test:durable`.
export default mergeConfig(
  { ...config, test: { ...config.test, include: [], exclude: ['**/node_modules/**'] } },
  defineConfig({
    test: {
      include: ['test/durable/**/*.test.ts'],
      testTimeout: 600_000,
      hookTimeout: 60_000,
      maxWorkers: 1,
    },
  }),
)
