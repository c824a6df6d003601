/**
 * The directory of a spool: what is written to it survives the process at any instant, and several processes share it.
 *
 *     write: temporary file ─► fsync ─► rename ─► fsync of the directory ─► reported as kept
 *     claim: rename to a name with the claimer in it, which succeeds for one process only
 */
import { join } from 'node:path'
import type { Steps } from './calls.ts'
import * as calls from './calls.ts'
import { type Entry, Names, parseName } from './names.ts'
import { countSpans } from './request.ts'

/** The bounds on what lies in the directory. */
export interface SpoolLimits {
  readonly directory: string
  readonly maxBytes: number
  readonly maxAgeMillis: number
}

/** What is told of files that nobody will send. */
export interface DirectoryListener {
  evicted(spanCount: number): void
  setAside(name: string, why: string): void
  /** Not ours: left alone. */
  foreign(name: string): void
}

/** A file that is ours to send, and nobody else's. */
export interface Claim {
  readonly entry: Entry
  readonly body: Uint8Array
  readonly spanCount: number
}

/** What waits. */
export interface Waiting {
  readonly files: number
  readonly bytes: number
}

interface SizedEntry extends Entry {
  readonly size: number
}

/** Reads and writes the directory, in steps. Each may throw what the file system throws. */
export class SpoolDirectory {
  readonly #limits: SpoolLimits
  readonly #listener: DirectoryListener
  readonly #names = new Names()
  /** By name: what has been written once does not change. */
  #sizes = new Map<string, number>()
  readonly #foreign = new Set<string>()
  /** Cannot even be renamed. */
  readonly #hopeless = new Set<string>()
  waiting: Waiting = { files: 0, bytes: 0 }

  constructor(limits: SpoolLimits, listener: DirectoryListener) {
    this.#limits = limits
    this.#listener = listener
  }

  /** Returns when the body is there to stay. */
  *write(body: Uint8Array): Steps<void> {
    yield* calls.makeDirectory(this.#limits.directory)
    yield* this.#makeRoom(body.length)
    const base = this.#names.next()
    const temporary = this.#path(this.#names.temporary(base))
    try {
      yield* this.#writeFile(temporary, body)
      yield* calls.rename(temporary, this.#path(base))
    } catch (error) {
      yield* quietly(calls.unlink(temporary))
      throw error
    }
    yield* this.#syncDirectory()
    this.#sizes.set(base, body.length)
    this.#countWaiting(1, body.length)
  }

  /**
   * Takes the oldest file that waits and is whole, for this process alone. What is too old is given up, what is torn or
   * cannot be read is set aside.
   * @param last - Names that are taken only when there is nothing else.
   */
  *claim(last: ReadonlySet<string>): Steps<Claim | undefined> {
    const entries = yield* this.#list()
    const ready: Entry[] = []
    for (const entry of entries) {
      if (yield* this.#evictIfOld(entry)) continue
      if (entry.kind === 'ready') ready.push(entry)
      else if (entry.kind !== 'set-aside' && this.#names.isAbandoned(entry)) ready.push(entry)
    }
    const inOrder = [
      ...ready.filter(({ base }) => !last.has(base)),
      ...ready.filter(({ base }) => last.has(base)),
    ]
    for (const entry of inOrder) {
      const claim = yield* this.#claim(entry)
      if (claim !== undefined) return claim
    }
    return undefined
  }

  /** It waits again, for whoever comes next. */
  *release({ entry }: Claim): Steps<void> {
    yield* unlessGone(calls.rename(this.#path(entry.name), this.#path(entry.base)))
  }

  /** It has been sent. */
  *remove({ entry, body }: Claim): Steps<void> {
    yield* unlessGone(calls.unlink(this.#path(entry.name)))
    this.#countWaiting(-1, -body.length)
  }

  /** It will not be sent: whoever runs this may want to look at it. */
  *setAside({ name, base }: Entry, why: string): Steps<void> {
    if (this.#hopeless.has(name)) return
    const aside = this.#names.setAside(base)
    try {
      yield* unlessGone(calls.rename(this.#path(name), this.#path(aside)))
    } catch {
      this.#hopeless.add(name)
    }
    this.#listener.setAside(aside, why)
  }

  #countWaiting(files: number, bytes: number): void {
    this.waiting = { files: this.waiting.files + files, bytes: this.waiting.bytes + bytes }
  }

  #path(name: string): string {
    return join(this.#limits.directory, name)
  }

  *#writeFile(path: string, body: Uint8Array): Steps<void> {
    const fd = yield* calls.open(path, 'wx', 0o600)
    try {
      for (let at = 0; at < body.length; ) at += yield* calls.write(fd, body.subarray(at))
      yield* calls.fsync(fd)
    } finally {
      yield* calls.close(fd)
    }
  }

  *#syncDirectory(): Steps<void> {
    // Windows opens no directories, and keeps their entries in its journal.
    if (process.platform === 'win32') return
    const fd = yield* calls.open(this.#limits.directory, 'r')
    try {
      yield* calls.fsync(fd)
    } finally {
      yield* calls.close(fd)
    }
  }

  /** The files of the spool, oldest first. */
  *#list(): Steps<SizedEntry[]> {
    const entries: SizedEntry[] = []
    const sizes = new Map<string, number>()
    for (const name of yield* this.#readNames()) {
      const entry = parseName(name)
      if (entry === undefined) {
        if (!this.#foreign.has(name)) this.#listener.foreign(name)
        this.#foreign.add(name)
        continue
      }
      const known = entry.kind === 'temporary' ? undefined : this.#sizes.get(entry.base)
      const size = known ?? (yield* unlessGone(calls.stat(this.#path(name))))?.size
      if (size === undefined) continue
      sizes.set(entry.base, size)
      entries.push({ ...entry, size })
    }
    this.#sizes = sizes
    const waiting = entries.filter(({ kind }) => kind === 'ready' || kind === 'claimed')
    this.waiting = { files: waiting.length, bytes: waiting.reduce((sum, { size }) => sum + size, 0) }
    return entries.sort((a, b) => a.writtenAt - b.writtenAt || (a.base < b.base ? -1 : 1))
  }

  *#readNames(): Steps<string[]> {
    return (yield* unlessGone(calls.readdir(this.#limits.directory))) ?? []
  }

  *#makeRoom(bytes: number): Steps<void> {
    const { directory, maxBytes } = this.#limits
    if (bytes > maxBytes)
      throw new RangeError(`a batch of ${bytes} bytes exceeds the maxBytes of ${directory}`)
    const entries = yield* this.#list()
    let total = entries.reduce((sum, { size }) => sum + size, bytes)
    for (const entry of entries) {
      const isInUse = entry.owner !== undefined && !this.#names.isAbandoned(entry)
      if (yield* this.#evictIfOld(entry)) total -= entry.size
      else if (total > maxBytes && !isInUse && (yield* this.#evict(entry))) total -= entry.size
    }
  }

  *#evictIfOld(entry: SizedEntry): Steps<boolean> {
    const isOld = Date.now() - entry.writtenAt > this.#limits.maxAgeMillis
    const isInUse = entry.owner !== undefined && !this.#names.isAbandoned(entry)
    return isOld && !isInUse && (yield* this.#evict(entry))
  }

  *#evict({ name, kind, size }: SizedEntry): Steps<boolean> {
    const path = this.#path(name)
    const body = yield* quietly(calls.readFile(path))
    try {
      yield* calls.unlink(path)
    } catch (error) {
      // Somebody else was faster, or nobody can.
      return calls.codeOf(error) === 'ENOENT'
    }
    if (kind === 'ready' || kind === 'claimed') this.#countWaiting(-1, -size)
    this.#listener.evicted((body && countSpans(body)) ?? 0)
    return true
  }

  *#claim(found: Entry): Steps<Claim | undefined> {
    if (this.#hopeless.has(found.name)) return undefined
    const name = this.#names.claimed(found.base)
    const entry: Entry = { ...found, name, kind: 'claimed' }
    try {
      yield* calls.rename(this.#path(found.name), this.#path(name))
    } catch (error) {
      if (calls.codeOf(error) !== 'ENOENT') yield* this.setAside(found, describeCode(error))
      return undefined
    }
    let body: Uint8Array
    try {
      body = yield* calls.readFile(this.#path(name))
    } catch (error) {
      yield* this.setAside(entry, describeCode(error))
      return undefined
    }
    const spanCount = countSpans(body)
    if (spanCount !== undefined) return { entry, body, spanCount }
    yield* this.setAside(entry, 'it is torn, or was never a request')
    return undefined
  }
}

function describeCode(error: unknown): string {
  return `it cannot be read (${calls.codeOf(error) ?? 'unknown'})`
}

/** `undefined` where the file, or its directory, is not there. */
function* unlessGone<Result>(steps: Steps<Result>): Steps<Result | undefined> {
  try {
    return yield* steps
  } catch (error) {
    if (calls.codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function* quietly<Result>(steps: Steps<Result>): Steps<Result | undefined> {
  try {
    return yield* steps
  } catch {
    return undefined
  }
}
