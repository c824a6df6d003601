/** What is in the tarball: all that is needed, and nothing else. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { projectFolder, root } from './consumers.ts'

const folder = join(projectFolder('runtimes'), 'node_modules/tailrace')
const read = (path: string) => readFileSync(join(folder, path), 'utf8')

const files = readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' })
  .filter((entry) => entry.isFile())
  .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
  .sort()
const code = files.filter((path) => /\.c?js$/.test(path))
const types = files.filter((path) => /\.d\.c?ts$/.test(path))

const manifest = JSON.parse(read('package.json')) as Record<string, unknown> & {
  exports: Record<string, unknown>
  imports: Record<string, unknown>
  sideEffects: string[]
  scripts: Record<string, string>
}

/** Every file that a part of the manifest names. */
function named(part: unknown): string[] {
  if (typeof part === 'string') return [part.replace('./', '')]
  return Object.values(part as object).flatMap(named)
}

/** What a file imports, requires or takes its types from. */
function importsOf(path: string): string[] {
  return ts.preProcessFile(read(path), true, true).importedFiles.map(({ fileName }) => fileName)
}

describe('the tarball', () => {
  it('holds code, types, source maps and four texts', () => {
    const others = files.filter((path) => !/^dist\/.+\.(c?js|c?js\.map|d\.c?ts)$/.test(path))
    expect(others).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'])
    expect([code.length, types.length].every((count) => count > 20)).toBe(true)
  })

  it('holds no file that nothing leads to, and all that something leads to', () => {
    const reached = new Set<string>()
    const visit = (path: string) => {
      if (reached.has(path)) return
      reached.add(path)
      expect(files, path).toContain(path)
      for (const specifier of path.endsWith('.json') ? [] : importsOf(path)) {
        if (!specifier.startsWith('.')) continue
        const target = join(path, '..', specifier)
        // `./x.js` in a declaration is `./x.d.ts`.
        visit(/\.d\.c?ts$/.test(path) ? target.replace(/\.(c?)js$/, '.d.$1ts') : target)
      }
    }
    for (const path of named([manifest.exports, manifest.imports])) visit(path)
    expect([...code, ...types].filter((path) => !reached.has(path))).toEqual([])
  })

  it('imports the API, modules of Node and itself: no dependency of a fixture, no package that is not declared', () => {
    const bare = [...code, ...types].flatMap(importsOf).filter((specifier) => !specifier.startsWith('.'))
    expect(bare.length).toBeGreaterThan(20)
    const others = bare.filter(
      (specifier) => !/^(@opentelemetry\/api|#transport|node:[\w/]+)$/.test(specifier),
    )
    expect(others).toEqual([])
    expect(manifest.dependencies).toBeUndefined()
    expect(manifest.optionalDependencies).toBeUndefined()
    expect(manifest.peerDependencies).toEqual({ '@opentelemetry/api': '>=1.3.0 <2' })
  })

  // A file that only hands on what another has is all its own source.
  const withSource = code.filter((path) =>
    read(path)
      .split('\n')
      .some((line) => line !== '' && !/\b(import|require|exports?)\b/.test(line)),
  )

  it('has source maps', () => {
    expect(withSource.length).toBeGreaterThan(20)
  })

  it.each(withSource)('%s has a source map that holds its sources', (path) => {
    const [, url] = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(read(path)) ?? []
    const map = JSON.parse(read(join(path, '..', url!))) as {
      sources: string[]
      sourcesContent: (string | null)[]
      mappings: string
    }
    expect(map.mappings).not.toBe(map.sources.length > 0 ? '' : undefined)
    expect(map.sourcesContent).toHaveLength(map.sources.length)
    for (const [i, source] of map.sources.entries()) {
      expect(source).toMatch(/^(\.\.\/)+src\//)
      expect(map.sourcesContent[i]).toBe(readFileSync(join(root, source.replace(/^(\.\.\/)+/, '')), 'utf8'))
    }
  })

  it('has side effects only in the preload', () => {
    expect(manifest.sideEffects).toEqual(['./dist/lambda/extension.js', './dist/lambda/extension.cjs'])
    for (const path of manifest.sideEffects) expect(existsSync(join(folder, path))).toBe(true)
  })

  it('can be published with provenance, and runs nothing when it is installed', () => {
    expect(manifest).toMatchObject({
      license: 'Apache-2.0',
      repository: { type: 'git', url: expect.stringMatching(/^git\+https:\/\/github\.com\/\S+\.git$/) },
      publishConfig: { access: 'public', provenance: true },
      engines: { node: '>=20' },
    })
    expect(manifest.version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(
      Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name)),
    ).toEqual([])
  })

  it('says nothing of the machine that it was built on', () => {
    for (const path of files) expect(read(path).includes(root), path).toBe(false)
  })
})
