import { defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'

// What runs in projects as users have them: `npm run test:compat` packs the package and installs them first.
export default mergeConfig(
  { ...config, test: { ...config.test, include: [], exclude: ['**/node_modules/**'] } },
  defineConfig({ test: { include: ['test/compat/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } }),
)
