/**
 * Calls of the file system, and two ways to make them. What must survive a crash is written down once, as steps, and
 * taken either in the background or, at the end of a process, without letting anything else happen.
 */
import {
  close as closeInBackground,
  closeSync,
  fsync as fsyncInBackground,
  fsyncSync,
  mkdir as mkdirInBackground,
  mkdirSync,
  open as openInBackground,
  openSync,
  readdir as readdirInBackground,
  readdirSync,
  readFile as readFileInBackground,
  readFileSync,
  rename as renameInBackground,
  renameSync,
  stat as statInBackground,
  statSync,
  unlink as unlinkInBackground,
  unlinkSync,
  write as writeInBackground,
  writeSync,
} from 'node:fs'

const AT_ONCE = {
  close: closeSync,
  fsync: fsyncSync,
  mkdir: mkdirSync,
  open: openSync,
  readFile: readFileSync,
  readdir: readdirSync,
  rename: renameSync,
  stat: statSync,
  unlink: unlinkSync,
  write: writeSync,
}

const IN_BACKGROUND = {
  close: closeInBackground,
  fsync: fsyncInBackground,
  mkdir: mkdirInBackground,
  open: openInBackground,
  readFile: readFileInBackground,
  readdir: readdirInBackground,
  rename: renameInBackground,
  stat: statInBackground,
  unlink: unlinkInBackground,
  write: writeInBackground,
}

type CallName = keyof typeof AT_ONCE

/** One call. */
export interface Call {
  readonly name: CallName
  readonly args: readonly unknown[]
}

/** Work that consists of calls. */
export type Steps<Result> = Generator<Call, Result, unknown>

function* call<Result>(name: CallName, ...args: unknown[]): Steps<Result> {
  return (yield { name, args }) as Result
}

export const open = (path: string, flags: string, mode?: number) => call<number>('open', path, flags, mode)
export const write = (fd: number, bytes: Uint8Array) => call<number>('write', fd, bytes)
export const fsync = (fd: number) => call<void>('fsync', fd)
export const close = (fd: number) => call<void>('close', fd)
export const rename = (from: string, to: string) => call<void>('rename', from, to)
export const unlink = (path: string) => call<void>('unlink', path)
export const readdir = (path: string) => call<string[]>('readdir', path)
export const stat = (path: string) => call<{ readonly size: number }>('stat', path)
export const readFile = (path: string) => call<Uint8Array>('readFile', path)
/** Answers with the first directory that it had to make. */
export const makeDirectory = (path: string) =>
  call<string | undefined>('mkdir', path, { recursive: true, mode: 0o700 })

type Callback = (error: Error | null, result: unknown) => void

/** Takes the steps while everything else waits. */
export function runSync<Result>(steps: Steps<Result>): Result {
  let next = steps.next()
  while (!next.done) {
    const { name, args } = next.value
    let result: unknown
    try {
      result = (AT_ONCE[name] as (...args: unknown[]) => unknown)(...args)
    } catch (error) {
      next = steps.throw(error)
      continue
    }
    next = steps.next(result)
  }
  return next.value
}

/** Takes the steps while everything else goes on. */
export async function run<Result>(steps: Steps<Result>): Promise<Result> {
  let next = steps.next()
  while (!next.done) {
    const { name, args } = next.value
    let result: unknown
    try {
      result = await new Promise((resolve, reject) => {
        const callback: Callback = (error, value) => (error ? reject(error) : resolve(value))
        ;(IN_BACKGROUND[name] as unknown as (...args: unknown[]) => void)(...args, callback)
      })
    } catch (error) {
      next = steps.throw(error)
      continue
    }
    next = steps.next(result)
  }
  return next.value
}

/** The code of an error of the file system. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

/** `undefined` where the file, or its directory, is not there. */
export function* unlessGone<Result>(steps: Steps<Result>): Steps<Result | undefined> {
  try {
    return yield* steps
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** `undefined` where it fails. */
export function* quietly<Result>(steps: Steps<Result>): Steps<Result | undefined> {
  try {
    return yield* steps
  } catch {
    return undefined
  }
}
