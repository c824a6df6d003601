/**
 * Makes the file system deadly: at the call that `KILL_AT` names, the process dies by SIGKILL, right before or right after
 * it, or in the middle of a write. To be imported first. With `POWER_CUT` what was not synced is lost as well, as far as
 * that can be played: files keep half of what was written to them, and renames are undone.
 *
 *     KILL_AT='12 before'      the twelfth write, fsync, rename or unlink (`half`: half of that write)
 *
 * Prints `calls <n>` as the process ends, if it lives so long.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

type Args = readonly unknown[]
type AnyFunction = (...args: Args) => unknown

const [number = '0', when = ''] = (process.env.KILL_AT ?? '').split(' ')
const deadlyCall = Number(number)
const { renameSync, fstatSync, truncateSync, writeSync } = fs
/** Files with writes that have not been synced, and renames whose directory has not. */
const pathOf = new Map<number, string>()
const dirtyFiles = new Set<string>()
const dirtyRenames: [from: string, to: string][] = []
let count = 0

function die(): never {
  if (process.env.POWER_CUT) {
    for (const [from, to] of dirtyRenames.reverse()) renameSync(to, from)
    for (const path of dirtyFiles) truncateSync(path, Math.floor(fs.statSync(path).size / 2))
  }
  process.kill(process.pid, 'SIGKILL')
  throw new Error('still alive')
}

/** Keeps account of what a call makes dirty or clean. */
const ACCOUNTS: Record<string, (args: Args, result: unknown) => void> = {
  open: ([path], fd) => void pathOf.set(fd as number, path as string),
  write: ([fd]) => void dirtyFiles.add(pathOf.get(fd as number)!),
  fsync([fd]) {
    const path = pathOf.get(fd as number)!
    if (fstatSync(fd as number).isDirectory()) dirtyRenames.length = 0
    else dirtyFiles.delete(path)
  },
  rename: ([from, to]) => void dirtyRenames.push([from as string, to as string]),
  unlink: ([path]) => void dirtyFiles.delete(path as string),
}

const DEADLY = ['write', 'fsync', 'rename', 'unlink']

for (const [name, account] of Object.entries(ACCOUNTS)) {
  const table = fs as unknown as Record<string, AnyFunction>
  const isDeadly = DEADLY.includes(name)
  /** Standard output is not a file of the spool. */
  const isOurs = (args: Args) => name !== 'write' || pathOf.has(args[0] as number)
  const before = (args: Args) => {
    if (!isDeadly || ++count !== deadlyCall) return false
    if (when === 'before') die()
    if (when === 'half' && name === 'write') {
      const [fd, bytes] = args as [number, Uint8Array]
      writeSync(fd, bytes.subarray(0, bytes.length >> 1))
      account(args, undefined)
      die()
    }
    return true
  }
  const after = (args: Args, result: unknown, isTheOne: boolean) => {
    account(args, result)
    if (isTheOne) die()
  }
  const sync = table[`${name}Sync`]!
  table[`${name}Sync`] = (...args) => {
    if (!isOurs(args)) return sync(...args)
    const isTheOne = before(args)
    const result = sync(...args)
    after(args, result, isTheOne)
    return result
  }
  const inBackground = table[name]!
  table[name] = (...args) => {
    if (!isOurs(args)) return inBackground(...args)
    const callback = args.at(-1) as (error: unknown, result: unknown) => void
    const isTheOne = before(args)
    return inBackground(...args.slice(0, -1), (error: unknown, result: unknown) => {
      if (!error) after(args, result, isTheOne)
      callback(error, result)
    })
  }
}
syncBuiltinESMExports()
process.on('exit', () => writeSync(1, `calls ${count}\n`))
