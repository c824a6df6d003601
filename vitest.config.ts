import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^#transport$/, replacement: path('src/transport/node-http.ts') },
      { find: /^tailrace$/, replacement: path('src/index.ts') },
      { find: /^tailrace\/(fan-out|kafka|spool|testing)$/, replacement: path('src/$1.ts') },
      { find: /^tailrace\/(\w+)$/, replacement: path('src/lifecycle/$1.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [
      '**/node_modules/**',
      'test/**/fixtures/**',
      'test/runtimes/**',
      'test/interop/**',
      'test/durable/**',
      'test/compat/**',
    ],
    pool: 'forks',
    // Left alone, two cores would get a single worker.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 30_000,
    hookTimeout: 20_000,
    teardownTimeout: 10_000,
    dangerouslyIgnoreUnhandledErrors: false,
    passWithNoTests: false,
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
    reporters: ['default', './test/helpers/count-reporter.ts'],
  },
})
