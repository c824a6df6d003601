// Imports the SDK, then what is measured. Nothing is imported before.
const { variant, settings } = JSON.parse(process.argv[2])
await import(settings.sdk)
const start = performance.now()
await import(settings[variant])
const millis = performance.now() - start
process.stdout.write(`${JSON.stringify({ millis, compileMillis: await compileMillis() })}\n`)

/** What V8 takes for the code of tailrace, which importing it has in it. */
async function compileMillis() {
  if (variant !== 'tailrace') return 0
  const { readdirSync, readFileSync } = await import('node:fs')
  const { fileURLToPath } = await import('node:url')
  const { Script } = await import('node:vm')
  const folder = new URL('.', import.meta.resolve('tailrace'))
  // What `tailrace` is made of is in one file: as a script, since modules cannot be compiled by themselves.
  const [core] = readdirSync(fileURLToPath(folder)).filter((name) => /^core-.*\.cjs$/.test(name))
  const source = readFileSync(new URL(core, folder), 'utf8')
  const start = performance.now()
  new Script(source)
  return performance.now() - start
}
