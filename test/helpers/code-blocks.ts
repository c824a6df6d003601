/** What the guides and the docstrings print as code. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** A block between fences. */
export interface CodeBlock {
  /** Where it stands: file and line. */
  readonly place: string
  /** As the fence names it; empty if it does not. */
  readonly language: string
  readonly code: string
}

/** Everything written for people, from the top of the tree: its path and its text. */
export const guides: readonly (readonly [path: string, text: string])[] = [
  ...readdirSync(root),
  ...readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).map((path) => join('test', path)),
]
  .filter((path) => path.endsWith('.md') && !path.includes('node_modules'))
  .sort()
  .map((path) => [path, readFileSync(join(root, path), 'utf8')])

/** Made from the docstrings by `npm run api`. */
export const API_REFERENCE = 'API.md'

/** The blocks of the guides, those of the API reference left out. */
export const guideBlocks: readonly CodeBlock[] = guides
  .filter(([path]) => path !== API_REFERENCE)
  .flatMap(([path, text]) => blocksIn(path, text))

/** The blocks of the docstrings, without their asterisks. */
export const docstringBlocks: readonly CodeBlock[] = readdirSync(join(root, 'src'), {
  recursive: true,
  encoding: 'utf8',
})
  .filter((path) => path.endsWith('.ts'))
  .sort()
  .flatMap((path) => blocksIn(`src/${path}`, readFileSync(join(root, 'src', path), 'utf8')))

/** The blocks of a text, in order. */
export function blocksIn(path: string, text: string): CodeBlock[] {
  const fenced = /^(?<margin>[ *]*)```(?<language>.*)\n(?<code>[\s\S]*?)^[ *]*```$/gm
  return Array.from(text.matchAll(fenced), ({ index, groups }) => {
    const { margin = '', language = '', code = '' } = groups ?? {}
    const lines = code.split('\n').map((each) => (margin.includes('*') ? each.replace(/^ *\* ?/, '') : each))
    return { place: `${path}:${text.slice(0, index).split('\n').length}`, language, code: lines.join('\n') }
  })
}

/** One side of a diff: what is there before it, or after. */
export function sideOf(diff: string, side: 'before' | 'after'): string {
  const other = side === 'before' ? '+' : '-'
  return diff
    .split('\n')
    .filter((line) => !line.startsWith(other))
    .map((line) => line.slice(1))
    .join('\n')
}

/** The one block of the guides that has a text in it. @throws if there is none, or more than one. */
export function blockWith(text: string): string {
  const [block, ...others] = guideBlocks.filter(({ code }) => code.includes(text))
  if (block === undefined || others.length > 0) throw new Error(`not one block with ${text}`)
  return block.code
}
