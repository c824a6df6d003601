// How long does V8 take for the code of tailrace, once it has read the SDK's? Takes --experimental-vm-modules.
import { readdirSync, readFileSync } from 'node:fs'
import { SourceTextModule } from 'node:vm'

const { settings } = JSON.parse(process.argv[2])
await import(settings.sdk)
const folder = new URL('.', import.meta.resolve('tailrace'))
const cores = readdirSync(folder).filter((name) => /^core-.*\.js$/.test(name))
if (cores.length !== 1) throw new Error(`not one core in ${folder}, but ${cores.length}`)
// All that importing it on Node loads.
const files = [...cores, 'index.js', 'transport/node-http.js']
const sources = files.map((name) => readFileSync(new URL(name, folder), 'utf8'))
const start = performance.now()
for (const source of sources) new SourceTextModule(source)
const millis = performance.now() - start
process.stdout.write(`${JSON.stringify({ millis })}\n`)
