// What an edge function or a page downloads: the bundle of `dist` off Node (so with the fetch transport), every
// chunk included, the one peer excluded. The cap is a ratchet: what was reached, on the way to 12 kB. Of the 35 kB the
// JSON encoder, which `encoding: 'json'` may ask for at run time, takes 3; the queue of span objects for exporters of
// others, their adapter, our exporter under processors of others, metrics and drains by request take 4.5.
const edge = (config) => ({
  ...config,
  platform: 'neutral',
  format: 'esm',
  target: 'es2022',
  // Otherwise esbuild follows the `paths` of tsconfig.json out of dist and into src.
  tsconfigRaw: '{}',
})

export default [
  {
    name: 'BatchSpanProcessor + OTLPTraceExporter, minified and gzipped, off Node',
    path: 'dist/index.js',
    import: '{ BatchSpanProcessor, OTLPTraceExporter }',
    ignore: ['@opentelemetry/api'],
    gzip: true,
    limit: '35.4 kB',
    modifyEsbuildConfig: edge,
  },
  {
    name: 'BatchSpanProcessor + OTLPProtobufTraceExporter, minified and gzipped, off Node',
    path: 'dist/index.js',
    import: '{ BatchSpanProcessor, OTLPProtobufTraceExporter }',
    ignore: ['@opentelemetry/api'],
    gzip: true,
    limit: '32.4 kB',
    modifyEsbuildConfig: edge,
  },
]
