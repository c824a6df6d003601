import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { installFixture } from '../runtimes/install.ts'

it('a fixture is installed again once its manifest or lock file is another, and not before', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tailrace-fixture-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const dependency = join(folder, 'node_modules/dependency')
  const write = (path: string, text: string) => writeFileSync(join(folder, path), text)
  const manifest = { name: 'fixture', dependencies: { dependency: 'file:dependency' } }
  mkdirSync(join(folder, 'dependency'))
  write('dependency/package.json', JSON.stringify({ name: 'dependency', version: '1.0.0' }))
  write('package.json', JSON.stringify(manifest))
  write('.npmrc', '')
  execFileSync('npm', ['install', '--package-lock-only', '--prefix', folder], { stdio: 'pipe' })
  vi.spyOn(console, 'log').mockReturnValue()

  installFixture(folder)
  expect(existsSync(dependency)).toBe(true)
  rmSync(dependency)
  installFixture(folder)
  expect(existsSync(dependency)).toBe(false)
  write('package.json', JSON.stringify({ ...manifest, description: 'another' }))
  installFixture(folder)
  expect(existsSync(dependency)).toBe(true)
})
