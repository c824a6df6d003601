// How long does V8 take for the code of tailrace? Takes --experimental-vm-modules.
import { readdirSync, readFileSync } from 'node:fs'
import { SourceTextModule } from 'node:vm'

const folder = new URL('.', import.meta.resolve('tailrace'))
// The index imports nothing else on Node.
const files = [
  ...readdirSync(folder).filter((name) => /^core-.*\.js$/.test(name)),
  'index.js',
  'transport/node-http.js',
]
const sources = files.map((name) => readFileSync(new URL(name, folder), 'utf8'))
const start = performance.now()
for (const source of sources) new SourceTextModule(source)
const millis = performance.now() - start
process.stdout.write(`${JSON.stringify({ millis })}\n`)
