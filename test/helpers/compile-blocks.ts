/** The TypeScript of the guides and docstrings, compiled against the source of the package. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as tailrace from 'tailrace'
import ts from 'typescript'
import { type CodeBlock, root } from './code-blocks.ts'

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

/** What the compiler has to say about a block. */
export interface Compiled {
  readonly complaints: string[]
  /** The modules that are not installed here, of which nothing is known then. */
  readonly missing: string[]
}

/** A docstring leaves out the imports that everybody knows. The guides do not. */
export function withImports(code: string): string {
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

/** Compiles all of them, each as a module of its own. @returns What became of each, by its place. */
export function compileBlocks(blocks: readonly CodeBlock[]): Map<string, Compiled> {
  const file = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config as {
    compilerOptions: object
  }
  const { options: configured } = ts.convertCompilerOptionsFromJson(
    {
      ...file.compilerOptions,
      // A reader's handler need not say what its event is.
      noImplicitAny: false,
      paths: { '#transport': ['./src/transport/node-http.ts'], ...subpaths() },
    },
    root,
  )
  const options = { ...configured, jsx: ts.JsxEmit.Preserve }
  const sources = new Map([[join(root, 'prelude.ts'), PRELUDE]])
  blocks.forEach(({ code }, i) => {
    // A module of its own, even if it imports nothing.
    sources.set(join(root, `example-${i}.tsx`), `${code}\nexport {}\n`)
  })
  const host = ts.createCompilerHost(options)
  const { fileExists, getSourceFile, readFile } = host
  host.fileExists = (path) => sources.has(path) || fileExists(path)
  host.readFile = (path) => sources.get(path) ?? readFile(path)
  host.getSourceFile = (path, ...rest) => {
    const text = sources.get(path)
    return text === undefined ? getSourceFile(path, ...rest) : ts.createSourceFile(path, text, rest[0], true)
  }
  const names = [...sources.keys(), join(root, 'test/examples/runtimes.d.ts')]
  const program = ts.createProgram(names, options, host)
  return new Map(
    blocks.map(({ place }, i) => {
      const source = program.getSourceFile(join(root, `example-${i}.tsx`))
      const problems = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      return [
        place,
        sorted(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))),
      ]
    }),
  )
}

function sorted(messages: readonly string[]): Compiled {
  const missing = messages.map((message) => /^Cannot find module '([^']+)'/.exec(message)?.[1])
  return {
    complaints: messages.filter((_message, i) => missing[i]?.startsWith('tailrace') ?? true),
    missing: missing.filter((each) => each !== undefined && !each.startsWith('tailrace')) as string[],
  }
}
