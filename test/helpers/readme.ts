import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../../', import.meta.url)

/** Whether the README prints the example, without the comment at its head, word for word. */
export function isInReadme(example: string): boolean {
  const text = readFileSync(fileURLToPath(new URL(`test/examples/${example}`, root)), 'utf8')
  const block = `\`\`\`ts\n${text.replace(/^\/\*\*.*?\*\/\n/s, '')}\`\`\`\n`
  return readFileSync(fileURLToPath(new URL('README.md', root)), 'utf8').includes(block)
}
