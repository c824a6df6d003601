import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { runScript } from './helpers/child-process.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')

interface Import {
  readonly specifier: string
  /** Gone once compiled. */
  readonly isTypeOnly: boolean
}

interface SourceFile {
  /** Relative to `src`. */
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
}

const files: SourceFile[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .sort()
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8')
    return { path, text, imports: importsOf(path, text) }
  })

/** What a file imports: statically, by re-export, dynamically, as a type, or through `getBuiltinModule`. */
function importsOf(path: string, text: string): Import[] {
  const imports: Import[] = []
  const add = (node: ts.Node | undefined, isTypeOnly: boolean) => {
    if (node !== undefined && ts.isStringLiteralLike(node)) imports.push({ specifier: node.text, isTypeOnly })
  }
  const visit = (node: ts.Node) => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause
      const bindings = clause?.namedBindings
      const elements = bindings !== undefined && ts.isNamedImports(bindings) ? bindings.elements : []
      const onlyTypes =
        elements.length > 0 && !clause?.name && elements.every((element) => element.isTypeOnly)
      add(node.moduleSpecifier, clause?.phaseModifier === ts.SyntaxKind.TypeKeyword || onlyTypes)
    } else if (ts.isExportDeclaration(node)) {
      const clause = node.exportClause
      const elements = clause !== undefined && ts.isNamedExports(clause) ? clause.elements : []
      const onlyTypes = elements.length > 0 && elements.every((element) => element.isTypeOnly)
      add(node.moduleSpecifier, node.isTypeOnly || onlyTypes)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true)
    } else if (ts.isCallExpression(node)) {
      const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword
      if (isImport || /\b(require|getBuiltinModule)$/.test(node.expression.getText()))
        add(node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true))
  return imports
}

/** The file that a specifier of ours stands for, relative to `src`. */
function resolve(from: string, specifier: string): string | undefined {
  if (specifier === '#transport') return 'transport/transport.ts'
  return specifier.startsWith('.') ? relative(src, join(src, dirname(from), specifier)) : undefined
}

/** The stage that a file belongs to: its folder, or its own name at the top. */
function stageOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path.replace(/\.ts$/, '')
}

const ALLOWED: Record<string, readonly string[]> = {
  span: [],
  types: ['page', 'span', 'spill'],
  'fan-out': ['exporters'],
  kafka: ['otlp', 'pipeline', 'types', 'environment'],
  version: [],
  environment: [],
  request: [],
  'flush-policy': ['types'],
  page: [],
  spill: [],
  spool: ['pipeline', 'spill', 'types'],
  pipeline: ['types', 'request', 'spill'],
  options: ['environment', 'pipeline', 'types', 'request'],
  transport: ['types', 'environment'],
  otlp: ['transport', 'pipeline', 'types', 'spill', 'environment', 'version'],
  exporters: ['pipeline', 'otlp', 'types'],
  testing: ['types'],
  processor: [
    'pipeline',
    'options',
    'types',
    'request',
    'spill',
    'flush-policy',
    'page',
    'exporters',
    'lifecycle',
  ],
  index: ['processor', 'options', 'otlp', 'exporters', 'pipeline', 'types'],
}

describe('the source tree', () => {
  it('was found', () => {
    expect(files.length).toBeGreaterThan(20)
    expect(files.flatMap(({ imports }) => imports).length).toBeGreaterThan(50)
  })

  it.each(files.map((file) => [file.path, file] as const))(
    'imports point one way: %s',
    (path, { imports }) => {
      const stage = stageOf(path)
      for (const { specifier, isTypeOnly } of imports) {
        const target = resolve(path, specifier)
        if (target === undefined || stageOf(target) === stage) continue
        if (stage === 'lifecycle') expect(isTypeOnly, `${path} imports ${specifier}`).toBe(true)
        else expect(ALLOWED[stage], `${path} imports ${specifier}`).toContain(stageOf(target))
        if (stage === 'processor') {
          // Of the stages around it the front door knows one file each.
          expect(target).not.toMatch(/^exporters\/(?!standard\.ts)|^lifecycle\/(?!page-hide\.ts)/)
        }
      }
    },
  )

  it('has no cycle', () => {
    const edges = new Map(
      files.map(({ path, imports }) => [
        path,
        imports.flatMap(({ specifier }) => resolve(path, specifier) ?? []),
      ]),
    )
    const done = new Set<string>()
    const visit = (path: string, trail: string[]) => {
      expect(trail, 'a cycle').not.toContain(path)
      if (done.has(path)) return
      for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
      done.add(path)
    }
    for (const path of edges.keys()) visit(path, [])
  })

  it('imports only files that exist', () => {
    const known = new Set(files.map(({ path }) => path))
    for (const { path, imports } of files) {
      for (const { specifier } of imports) {
        const target = resolve(path, specifier)
        if (target !== undefined) expect(known, `${path} imports ${specifier}`).toContain(target)
      }
    }
  })

  it('only the Node-only files name a node: module', () => {
    const isNodeOnly = (path: string) =>
      path === 'transport/node-http.ts' ||
      path === 'testing/platform.ts' ||
      path === 'spool.ts' ||
      path.startsWith('spool/') ||
      /^lifecycle\/(node|lambda)[^/]*\.ts$/.test(path)
    const importersOf = (path: string) =>
      files.filter((file) => file.imports.some(({ specifier }) => resolve(file.path, specifier) === path))
    for (const { path, imports } of files) {
      // A transport file that nobody but a Node-only one imports is Node-only, too.
      const importers = importersOf(path)
      const isPartOfOne =
        path.startsWith('transport/') &&
        importers.length > 0 &&
        importers.every((file) => isNodeOnly(file.path))
      if (isNodeOnly(path) || isPartOfOne) continue
      expect(imports.filter(({ specifier }) => specifier.startsWith('node:'))).toEqual([])
    }
  })

  it('imports nothing at run time but @opentelemetry/api, as far as the root entry reaches', () => {
    const reached = new Set<string>()
    const bare = new Set<string>()
    const visit = (path: string) => {
      if (reached.has(path)) return
      reached.add(path)
      for (const { specifier, isTypeOnly } of files.find((file) => file.path === path)!.imports) {
        const target = resolve(path, specifier)
        if (isTypeOnly) continue
        if (target === undefined) bare.add(specifier)
        else visit(target)
      }
    }
    visit('index.ts')
    expect(reached.size).toBeGreaterThan(20)
    expect([...bare]).toEqual(['@opentelemetry/api'])
  })

  it.each(files.map(({ path, text }) => [path, text]))('%s is short enough to be one idea', (path, text) => {
    const isEncoder = /^otlp\/(protobuf|json)\.ts$/.test(path!)
    expect(text!.trimEnd().split('\n').length).toBeLessThanOrEqual(isEncoder ? 600 : 320)
  })
})

describe('importing', () => {
  const entries = files
    .map(({ path }) => path)
    .filter((path) => /^(index|fan-out|kafka|spool|testing)\.ts$|^lifecycle\//.test(path))

  it.each(entries)('B56: %s creates no timer, no I/O, no listener and no global', async (entry) => {
    const { code, output } = await runScript(`
      import { createHook } from 'node:async_hooks'
      import '@opentelemetry/api'
      import './src/version.ts'
      const globals = () => Reflect.ownKeys(globalThis).map(String)
      const listeners = () => process.eventNames().map((name) => [String(name), process.listenerCount(name)])
      const created = []
      for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'fetch', 'addEventListener']) {
        const original = globalThis[name]
        if (original) globalThis[name] = (...args) => { created.push(name); return original(...args) }
      }
      // Loading a module reads files; nothing else may happen.
      const quiet = /^(PROMISE|FSREQ|FILEHANDLE|TickObject|Microtask|MESSAGEPORT|RANDOM)/i
      const before = { globals: globals(), listeners: listeners() }
      createHook({ init(_id, type) { if (!quiet.test(type)) created.push(type) } }).enable()
      const exports = await import('./src/${entry}')
      const added = globals().filter((name) => !before.globals.includes(name))
      const listening = JSON.stringify(listeners()) !== JSON.stringify(before.listeners)
      console.log(JSON.stringify({ created, added, listening, exports: Object.keys(exports).length > 0 }))
    `)
    expect(code, output).toBe(0)
    expect(JSON.parse(output)).toEqual({ created: [], added: [], listening: false, exports: true })
  })
})
