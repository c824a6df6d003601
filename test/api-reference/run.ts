/**
 * `npm run api` writes API.md from the docstrings of everything that package.json exports; `npm run api -- --check` fails
 * if that is not what it holds.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Application, type TypeDocOptions } from 'typedoc'
import type { PluginOptions } from 'typedoc-plugin-markdown'

const root = fileURLToPath(new URL('../..', import.meta.url))
const file = join(root, 'API.md')

const HEAD = `# API reference

Made from the docstrings by \`npm run api\`. [README.md](README.md) has the options as tables, and the reasons.
`

/** An entry of package.json, and where TypeDoc puts its page. */
interface Entry {
  /** As it is imported: \`tailrace/lambda\`. */
  readonly specifier: string
  readonly source: string
  readonly page: string
  /** Of its anchors, since names come again in other entries. */
  readonly prefix: string
}

function entries(): Entry[] {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, { import?: { types: string } }>
  }
  return Object.entries(exports).flatMap(([subpath, conditions]) => {
    const types = conditions.import?.types
    // The preload is built from another file: see tsdown.config.ts.
    if (types === undefined) return []
    const name = types
      .replace(/^\.\/dist\/(.+)\.d\.ts$/, '$1')
      .replace('lambda/extension', 'lifecycle/lambda-extension')
    const specifier = subpath.replace(/^\./, 'tailrace')
    return { specifier, source: `src/${name}.ts`, page: `${name}.md`, prefix: specifier.replaceAll('/', '-') }
  })
}

async function render(all: readonly Entry[]): Promise<string> {
  const out = mkdtempSync(join(tmpdir(), 'tailrace-api-'))
  try {
    const options: TypeDocOptions & Partial<PluginOptions> = {
      plugin: ['typedoc-plugin-markdown'],
      outputs: [{ name: 'markdown', path: out }],
      entryPoints: all.map(({ source }) => join(root, source)),
      tsconfig: join(root, 'tsconfig.json'),
      basePath: join(root, 'src'),
      readme: 'none',
      logLevel: 'Warn',
      treatWarningsAsErrors: true,
      excludeExternals: true,
      excludePrivate: true,
      excludeInternal: true,
      disableSources: true,
      sort: ['source-order'],
      // Some types are stated structurally, and nobody has to name them.
      validation: { notExported: false },
      outputFileStrategy: 'modules',
      hidePageHeader: true,
      hideBreadcrumbs: true,
      hidePageTitle: true,
      useHTMLAnchors: true,
      parametersFormat: 'table',
      propertiesFormat: 'table',
      propertyMembersFormat: 'table',
      interfacePropertiesFormat: 'table',
      classPropertiesFormat: 'table',
      typeDeclarationFormat: 'table',
      expandObjects: true,
    }
    const app = await Application.bootstrapWithPlugins(options)
    const project = await app.convert()
    if (project === undefined) throw new Error('TypeDoc could not read the sources')
    app.validate(project)
    await app.generateOutputs(project)
    if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('TypeDoc has complaints')
    const sections = all.map((entry) => section(entry, readFileSync(join(out, entry.page), 'utf8'), all))
    const contents = all.map(({ specifier, prefix }) => `- [\`${specifier}\`](#${prefix})`)
    return [HEAD, contents.join('\n'), ...sections].join('\n')
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

/** A page as a part of the one file: headings a level down, anchors of its own, links within the file. */
function section({ specifier, prefix, page }: Entry, text: string, all: readonly Entry[]): string {
  const body = text
    .replace(/^(#+ )/gm, (heading) => (heading.length > 6 ? heading : `#${heading}`))
    .replace(/<a id="([^"]+)">/g, `<a id="${prefix}-$1">`)
    .replace(/\]\(((?:\.\.\/)*(?:[\w/-]+\.md)?)#([^)]+)\)/g, (_link, path: string, anchor: string) => {
      const target =
        path === '' ? undefined : all.find((entry) => entry.page.endsWith(path.replace(/^(\.\.\/)+/, '')))
      if (path !== '' && target === undefined) throw new Error(`${page} links to ${path}`)
      return `](#${target?.prefix ?? prefix}-${anchor})`
    })
    .trimEnd()
  return `\n<a id="${prefix}"></a>\n\n## \`${specifier}\`\n\n${body}\n`
}

const made = await render(entries())
if (!process.argv.includes('--check')) {
  writeFileSync(file, made)
} else if (readFileSync(file, 'utf8') !== made) {
  console.error('API.md is not what the docstrings say: npm run api')
  process.exitCode = 1
}
