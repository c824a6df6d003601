import { defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'

// What must hold through crashes, outages and overload, and what it costs: `npm run test:durable`.
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
