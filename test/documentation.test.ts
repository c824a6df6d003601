/** What the guides and the docstrings print as code is what works: each block is compiled, parsed, applied or run. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import {
  API_REFERENCE,
  blocksIn,
  docstringBlocks,
  guideBlocks,
  guides,
  root,
  sideOf,
} from './helpers/code-blocks.ts'
import { compileBlocks, withImports } from './helpers/compile-blocks.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const inLanguages = (...languages: string[]) =>
  guideBlocks.filter(({ language }) => languages.includes(language))

/** The files of `test` with this ending: what a guide prints beyond programs is one of them. */
function testFiles(...endings: string[]): string[] {
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => endings.some((ending) => path.endsWith(ending)) && !path.includes('node_modules'))
    .map((path) => join('test', path))
}

describe('code blocks', () => {
  it('say what language they are in, one that is checked here or by documentation-commands.test.ts', () => {
    expect(guideBlocks.length).toBeGreaterThan(20)
    const checked = ['ts', 'tsx', 'js', 'diff', 'yaml', 'json', 'text', 'sh']
    expect(guideBlocks.filter(({ language }) => !checked.includes(language))).toEqual([])
    expect(docstringBlocks.filter(({ language }) => !['ts', 'text'].includes(language))).toEqual([])
  })

  it('of the API reference are those of the docstrings', () => {
    const known = docstringBlocks.map(({ code }) => code)
    const blocks = blocksIn(API_REFERENCE, read(API_REFERENCE))
    expect(blocks.length).toBeGreaterThan(20)
    expect(blocks.filter(({ code }) => !known.includes(code))).toEqual([])
  })
})

const programs = inLanguages('ts', 'tsx', 'js')
const diffs = inLanguages('diff')
const sides = diffs.flatMap(({ place, code }) =>
  (['before', 'after'] as const).map((side) => ({
    place: `${place}, ${side}`,
    language: 'ts',
    code: sideOf(code, side),
  })),
)
const docstrings = docstringBlocks.filter(({ language }) => language === 'ts')
const compiled = compileBlocks([
  ...programs,
  ...sides,
  ...docstrings.map((block) => ({ ...block, code: withImports(block.code) })),
])

describe('TypeScript', () => {
  it.each([...programs, ...docstrings].map(({ place }) => place))('compiles: %s', (place) => {
    expect(compiled.get(place)!.complaints).toEqual([])
  })

  // The frameworks of the runtimes are installed in fixtures of their own, and the examples run there.
  const examples = testFiles('.ts').filter((path) => path.startsWith('test/examples/'))
  const printed = examples.map((path) => read(path).replace(/^\/\*\*.*?\*\/\n/s, ''))

  it('with packages that are not installed here is an example that runs where they are', () => {
    const elsewhere = programs.filter(({ place }) => compiled.get(place)!.missing.length > 0)
    expect(elsewhere.length).toBeGreaterThan(4)
    expect(elsewhere.filter(({ code }) => !printed.includes(code))).toEqual([])
  })

  it('under `Runtimes` is an example that runs there', () => {
    const [before = '', after = ''] = read('README.md').split('\n## Runtimes\n')
    const [section = ''] = after.split('\n## ')
    const first = before.split('\n').length
    const recipes = blocksIn(`README.md after line ${first}`, section).filter(
      ({ language }) => language === 'ts',
    )
    expect(recipes.length).toBeGreaterThan(10)
    expect(recipes.filter(({ code }) => !printed.includes(code))).toEqual([])
  })
})

describe('diffs', () => {
  it.each(sides.map(({ place }) => place))('need nothing but what is in them: %s', (place) => {
    expect(compiled.get(place)).toEqual({ complaints: [], missing: [] })
  })

  it.each(diffs.map(({ place, code }) => [place, code]))(
    'make our quick-start program of the stock one, which examples.test.ts runs: %s',
    (_place, code) => {
      const stock = read('test/examples/quick-start-stock.ts')
      expect(stock.split(sideOf(code, 'before'))).toHaveLength(2)
      expect(stock.replace(sideOf(code, 'before'), sideOf(code, 'after'))).toBe(
        read('test/examples/quick-start.ts'),
      )
    },
  )
})

describe('configurations', () => {
  const configurations = inLanguages('yaml', 'json')

  it.each(configurations.map((block) => [block.place, block] as const))(
    'can be parsed, and are files that a test uses: %s',
    (_place, { code, language }) => {
      expect(language === 'json' ? JSON.parse(code) : parse(code)).toBeTypeOf('object')
      const used = testFiles('.json', '.yaml', '.yml').filter((path) => read(path).includes(code))
      expect(used).not.toEqual([])
    },
  )
})

/** What a command of a guide writes. */
const WRITTEN = ['bench/chart.svg']

describe('what guides point to', () => {
  it.each(guides)('files and headings that are there: %s', (path, text) => {
    const prose = text.replace(/^```[\s\S]*?^```$/gm, '')
    const dead = Array.from(
      prose.matchAll(/\]\((?!\w+:)(?<file>[^)#]*)(?:#(?<anchor>[^)]+))?\)/g),
      ({ groups }) => {
        const target = groups?.file ? join(dirname(path), groups.file) : path
        if (!existsSync(join(root, target))) return target
        const anchor = groups?.anchor
        return anchor === undefined || anchorsOf(read(target)).includes(anchor) ? [] : `${target}#${anchor}`
      },
    ).flat()
    expect(dead).toEqual([])
  })

  it.each(guides.filter(([path]) => path !== API_REFERENCE))(
    'files of the tree that are there: %s',
    (_path, text) => {
      const named = [...text.matchAll(/(?<![\w/.-])(?:src|test|bench|\.ci)\/[\w/.-]*\w/g)].map(
        ([path]) => path,
      )
      expect(named.filter((path) => !existsSync(join(root, path)) && !WRITTEN.includes(path))).toEqual([])
    },
  )
})

/** As GitHub makes them of headings, and those that are written out. */
function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!)]
}
