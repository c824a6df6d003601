import { defineConfig } from 'tsdown'

export default defineConfig({
  // A new public subpath is one line here and one entry in the `exports` of package.json.
  entry: {
    index: 'src/index.ts',
    cloudflare: 'src/lifecycle/cloudflare.ts',
    'transport/fetch': 'src/transport/fetch.ts',
    'transport/node-http': 'src/transport/node-http.ts',
  },
  format: ['esm', 'cjs'],
  platform: 'neutral',
  target: 'es2022',
  deps: {
    // `#transport` stays an import: package.json chooses the file by condition, where the package is used.
    neverBundle: ['#transport', '@opentelemetry/api', /^node:/],
    onlyBundle: [],
  },
  // The transports are not public, and need no types. A new public subpath is one entry here, too.
  dts: { entry: ['src/index.ts', 'src/lifecycle/cloudflare.ts'], sourcemap: true },
  sourcemap: true,
  checks: { legacyCjs: false, pluginTimings: false },
  failOnWarn: true,
})
