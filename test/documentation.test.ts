/** What the README, the guides beside it and the docstrings print is TypeScript that compiles against the package. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as tailrace from 'tailrace'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What the reader's own program has, and examples use without declaring it. */
const PRELUDE = `
declare global {
  const processor: import('tailrace').BatchSpanProcessor
  const url: string
  function work(event?: unknown): Promise<unknown>
  function freshToken(): Promise<string>
}
export {}
`

interface Example {
  /** Where it stands: file and line. */
  readonly place: string
  readonly code: string
}

/** The \`\`\`ts blocks of a text, the asterisks of a docstring removed. */
function blocksIn(file: string, text: string): Example[] {
  const examples: Example[] = []
  for (const match of text.matchAll(/^(?<margin>[ *]*)```(?:ts|tsx|js)\n(?<code>[\s\S]*?)^[ *]*```/gm)) {
    const line = text.slice(0, match.index).split('\n').length
    const { margin = '', code = '' } = match.groups ?? {}
    const lines = code.split('\n').map((each) => (margin.includes('*') ? each.replace(/^ *\* ?/, '') : each))
    examples.push({ place: `${file}:${line}`, code: lines.join('\n') })
  }
  return examples
}

const examples: Example[] = [
  ...readdirSync(root)
    .filter((path) => path.endsWith('.md'))
    // Made of the docstrings, whose examples follow.
    .filter((path) => path !== 'API.md')
    .flatMap((path) => blocksIn(path, readFileSync(join(root, path), 'utf8'))),
  ...readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .flatMap((path) => blocksIn(`src/${path}`, readFileSync(join(root, 'src', path), 'utf8')))
    .map(({ place, code }) => ({ place, code: withImports(code) })),
]

/** A docstring leaves out the imports that everybody knows. The README does not. */
function withImports(code: string): string {
  const known = { ...tailrace, NodeTracerProvider: '@opentelemetry/sdk-trace-node' }
  const missing = Object.entries(known).filter(
    ([name]) => new RegExp(`\\b${name}\\b`).test(code) && !new RegExp(`import .*\\b${name}\\b`).test(code),
  )
  const imports = missing.map(
    ([name, from]) => `import { ${name} } from '${typeof from === 'string' ? from : 'tailrace'}'\n`,
  )
  return imports.join('') + code
}

/** `tailrace/lambda` is src/lifecycle/lambda.ts, as the `exports` of package.json have it for what is built. */
function subpaths(): Record<string, string[]> {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, { import?: { types: string } }>
  }
  const paths: Record<string, string[]> = {}
  for (const [subpath, conditions] of Object.entries(exports)) {
    const types = conditions.import?.types
    if (types !== undefined) {
      const source = types.replace('.d.ts', '.ts')
      paths[subpath.replace(/^\./, 'tailrace')] = [
        source.replace('./dist/', './src/'),
        source.replace('./dist/', './src/lifecycle/'),
      ]
    }
  }
  return paths
}

/** What the compiler has to say about each example. */
function compile(): Map<string, string[]> {
  const file = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config as {
    compilerOptions: object
  }
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      ...file.compilerOptions,
      // A reader's handler need not say what its event is.
      noImplicitAny: false,
      paths: { '#transport': ['./src/transport/node-http.ts'], ...subpaths() },
    },
    root,
  )
  const sources = new Map([[join(root, 'prelude.ts'), PRELUDE]])
  examples.forEach(({ code }, i) => {
    // A module of its own, even if it imports nothing.
    sources.set(join(root, `example-${i}.tsx`), `${code}\nexport {}\n`)
  })
  const host = ts.createCompilerHost({ ...options, jsx: ts.JsxEmit.Preserve })
  const { fileExists, getSourceFile, readFile } = host
  host.fileExists = (path) => sources.has(path) || fileExists(path)
  host.readFile = (path) => sources.get(path) ?? readFile(path)
  host.getSourceFile = (path, ...rest) => {
    const text = sources.get(path)
    return text === undefined ? getSourceFile(path, ...rest) : ts.createSourceFile(path, text, rest[0], true)
  }
  const program = ts.createProgram([...sources.keys()], { ...options, jsx: ts.JsxEmit.Preserve }, host)
  const complaints = new Map<string, string[]>()
  examples.forEach(({ place }, i) => {
    const source = program.getSourceFile(join(root, `example-${i}.tsx`))
    const problems = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    complaints.set(
      place,
      problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')).filter(isOurs),
    )
  })
  return complaints
}

/** The frameworks of the runtimes are installed in fixtures of their own, and checked there. */
function isOurs(message: string): boolean {
  const [, missing] = /^Cannot find module '([^']+)'/.exec(message) ?? []
  return missing === undefined || missing.startsWith('tailrace')
}

describe('every code block of the guides and of the docstrings', () => {
  const complaints = compile()

  it('was found', () => {
    expect(examples.length).toBeGreaterThan(5)
  })

  it.each(examples.map(({ place }) => place))('compiles: %s', (place) => {
    expect(complaints.get(place)).toEqual([])
  })
})
