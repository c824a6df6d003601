import { defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'

// What sends to receivers that nobody here wrote: `npm run test:interop` builds them first.
export default mergeConfig(
  { ...config, test: { ...config.test, include: [], exclude: ['**/node_modules/**'] } },
  defineConfig({
    test: {
      include: ['test/interop/**/*.test.ts'],
      testTimeout: 180_000,
      hookTimeout: 60_000,
      maxWorkers: 1,
    },
  }),
)
