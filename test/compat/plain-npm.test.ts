import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { npmConfig, plainNpm } from './plain-npm.ts'

it('npm installs as it does for somebody who has configured nothing but the way to the registry', () => {
  const home = mkdtempSync(join(tmpdir(), 'tailrace-npm-'))
  onTestFinished(() => rmSync(home, { recursive: true }))
  const userconfig = join(home, '.npmrc')
  const way = { registry: 'https://registry.example.com/', proxy: 'http://proxy.example.com/' }
  writeFileSync(userconfig, `legacy-peer-deps=true\nregistry=${way.registry}\nproxy=${way.proxy}\n`)
  const theirs = {
    PATH: process.env.PATH,
    HOME: home,
    npm_config_userconfig: userconfig,
    npm_config_force: 'true',
  }
  expect(npmConfig(theirs)).toMatchObject({ ...way, 'legacy-peer-deps': true, force: true })

  expect(npmConfig(plainNpm(theirs))).toMatchObject({ ...way, 'legacy-peer-deps': false, force: false })
})
