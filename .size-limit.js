// What an edge function or a page downloads: the bundle of `dist` off Node (so with the fetch transport), every
// chunk included, the one peer excluded.
export default [
  {
    name: 'BatchSpanProcessor + OTLPTraceExporter, minified and gzipped, off Node',
    path: 'dist/index.js',
    import: '{ BatchSpanProcessor, OTLPTraceExporter }',
    ignore: ['@opentelemetry/api'],
    gzip: true,
    limit: '12 kB',
    modifyEsbuildConfig: (config) => ({
      ...config,
      platform: 'neutral',
      format: 'esm',
      target: 'es2022',
      // Otherwise esbuild follows the `paths` of tsconfig.json out of dist and into src.
      tsconfigRaw: '{}',
    }),
  },
]
