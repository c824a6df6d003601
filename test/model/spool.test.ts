import { test, vi } from 'vitest'
import { expectAllWell } from './all-well.ts'
import type { Disk } from './spool/disk.ts'
import { running } from './spool/process.ts'
import { runSpoolSequences } from './spool/property.ts'

const diverted = vi.hoisted(() => ({ disk: undefined as Disk | undefined }))

/** The calls of the spool, for the disk of the model while there is one. */
vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<Record<string, (...args: unknown[]) => unknown>>()
  const mocked = { ...original }
  for (const name of [
    'open',
    'write',
    'fsync',
    'close',
    'rename',
    'unlink',
    'readdir',
    'stat',
    'readFile',
    'mkdir',
  ]) {
    mocked[`${name}Sync`] = (...args) => {
      const user = running.getStore()
      if (diverted.disk === undefined || user === undefined) return original[`${name}Sync`]!(...args)
      return diverted.disk.atOnce(user, name, args)
    }
    mocked[name] = (...args) => {
      const user = running.getStore()
      if (diverted.disk === undefined || user === undefined) return original[name]!(...args)
      const callback = args.at(-1) as (...results: unknown[]) => void
      const own = (...results: unknown[]) => running.run(user, () => callback(...results))
      return diverted.disk.inBackground(user, name, args.slice(0, -1), own)
    }
  }
  return { ...mocked, default: mocked }
})

test('B19: whatever happens to processes, disk and backend, what was reported as spooled is delivered', {
  timeout: 300_000,
}, async () => {
  const divert = (disk: Disk | undefined) => {
    diverted.disk = disk
  }
  await expectAllWell(600, (seed, count, replay) => runSpoolSequences(seed, count, divert, replay))
})
