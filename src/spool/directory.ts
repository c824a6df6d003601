/**
 * The directory of a spool: what is written to it survives the process at any instant, and several processes share it.
 *
 *     write: temporary file ─► fsync ─► rename ─► fsync of the directory ─► reported as kept
 *     claim: rename to a name with the claimer in it, which succeeds for one process only
 */
import { join } from 'node:path'
import { monotonicNow } from '../pipeline/deadline.ts'
import type { Steps } from './calls.ts'
import * as calls from './calls.ts'
import { quietly, unlessGone } from './calls.ts'
import { DurableDirectory, syncDirectory, writeFile } from './durable.ts'
import { Inventory, type SizedEntry, type Waiting } from './inventory.ts'
import { type Entry, Names } from './names.ts'
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
  /** Can be neither sent nor set aside just now: tried again later. */
  stuck(name: string, why: string): void
  /** Not ours: left alone. */
  foreign(name: string): void
}

/** A file that is ours to send, and nobody else's. */
export interface Claim {
  readonly entry: Entry
  readonly body: Uint8Array
  readonly spanCount: number
}

/** What can be neither claimed nor set aside is left alone for so long: on Windows somebody may be reading it. */
const STUCK_MILLIS = 60_000

/** What a file system says of a file that cannot be read later, either. */
const UNREADABLE = ['EISDIR', 'EACCES', 'EPERM', 'EIO', 'ELOOP', 'ENXIO', 'ERR_FS_FILE_TOO_LARGE']

/** Reads and writes the directory, in steps. Each may throw what the file system throws. */
export class SpoolDirectory {
  readonly #limits: SpoolLimits
  readonly #listener: DirectoryListener
  readonly #durable: DurableDirectory
  readonly #inventory: Inventory
  readonly #names = new Names()
  /** Names with us in them that are being written or sent: what else has us in its name was left behind by an error. */
  readonly #inUse = new Set<string>()
  /** Those of them that have been sent and could not be removed. */
  readonly #sent = new Set<string>()
  /** Until when a name is left alone. */
  readonly #stuckUntil = new Map<string, number>()

  constructor(limits: SpoolLimits, listener: DirectoryListener) {
    this.#limits = limits
    this.#listener = listener
    this.#durable = new DurableDirectory(limits.directory)
    this.#inventory = new Inventory(limits.directory, (name) => listener.foreign(name))
  }

  /** What waited when it was last looked at. */
  get waiting(): Waiting {
    return this.#inventory.waiting
  }

  /** Returns when the body is there to stay. */
  *write(body: Uint8Array): Steps<void> {
    yield* this.#durable.make()
    yield* this.#makeRoom(body.length)
    yield* this.#write(this.#names.next(), body)
  }

  /** Puts parts beside the whole, which is about to be removed: all of them, or none. */
  *writeParts(parts: readonly Uint8Array[], { writtenAt }: Entry): Steps<void> {
    const named = parts.map((body) => ({ base: this.#names.next(writtenAt), body }))
    try {
      for (const { base, body } of named) yield* this.#write(base, body)
    } catch (error) {
      for (const { base } of named) {
        yield* quietly(calls.unlink(this.#path(base)))
        this.#inventory.takenBack(base)
      }
      throw error
    }
  }

  *#write(base: string, body: Uint8Array): Steps<void> {
    const name = this.#names.temporary(base)
    const temporary = this.#path(name)
    this.#inUse.add(name)
    try {
      yield* writeFile(temporary, body)
      yield* calls.rename(temporary, this.#path(base))
    } catch (error) {
      yield* quietly(calls.unlink(temporary))
      throw error
    } finally {
      this.#inUse.delete(name)
    }
    yield* syncDirectory(this.#limits.directory)
    this.#inventory.added(base, body.length)
  }

  /**
   * Takes the oldest file that waits and is whole, for this process alone. What is too old is given up, what is torn or
   * cannot be read is set aside.
   * @param last - Names that are taken only when there is nothing else.
   */
  *claim(last: ReadonlySet<string>): Steps<Claim | undefined> {
    const entries = yield* this.#inventory.list()
    const ready: SizedEntry[] = []
    for (const entry of entries) {
      if (this.#sent.has(entry.name)) yield* quietly(this.#removeSent(entry))
      else if (yield* quietly(this.#evictIfOld(entry))) continue
      else if (entry.kind !== 'set-aside' && !this.#isInUse(entry)) ready.push(entry)
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
  *release(entry: Entry): Steps<void> {
    try {
      yield* unlessGone(calls.rename(this.#path(entry.name), this.#path(entry.base)))
    } finally {
      this.#inUse.delete(entry.name)
    }
  }

  /** It has been sent. Nobody sends it again, even if it cannot be removed. */
  *remove({ entry }: Claim): Steps<void> {
    this.#sent.add(entry.name)
    yield* this.#removeSent(entry)
  }

  /** It will not be sent: whoever runs this may want to look at it. */
  *setAside({ name, base }: Entry, why: string): Steps<void> {
    const aside = this.#names.setAside(base)
    this.#inUse.delete(name)
    try {
      yield* unlessGone(calls.rename(this.#path(name), this.#path(aside)))
    } catch {
      this.#leave(name, why)
      return
    }
    this.#inventory.gone(base)
    this.#listener.setAside(aside, why)
  }

  *#removeSent({ name, base }: Entry): Steps<void> {
    yield* unlessGone(calls.unlink(this.#path(name)))
    this.#sent.delete(name)
    this.#inUse.delete(name)
    this.#inventory.gone(base)
  }

  #leave(name: string, why: string): void {
    this.#stuckUntil.set(name, monotonicNow() + STUCK_MILLIS)
    this.#listener.stuck(name, why)
  }

  #isStuck(name: string): boolean {
    if (monotonicNow() < (this.#stuckUntil.get(name) ?? 0)) return true
    this.#stuckUntil.delete(name)
    return false
  }

  /** Whether somebody is at work on it who is alive, as far as can be known. */
  #isInUse(entry: Entry): boolean {
    if (entry.owner === undefined) return false
    return this.#inUse.has(entry.name) || !this.#names.isAbandoned(entry)
  }

  #path(name: string): string {
    return join(this.#limits.directory, name)
  }

  *#makeRoom(bytes: number): Steps<void> {
    const { directory, maxBytes } = this.#limits
    if (bytes > maxBytes)
      throw new RangeError(`a batch of ${bytes} bytes exceeds the maxBytes of ${directory}`)
    const entries = yield* this.#inventory.list()
    let total = entries.reduce((sum, { size }) => sum + size, bytes)
    let failure: unknown
    for (const entry of entries) {
      try {
        if (yield* this.#evictIfOld(entry)) total -= entry.size
        else if (total > maxBytes && !this.#isInUse(entry) && (yield* this.#evict(entry))) total -= entry.size
      } catch (error) {
        failure = error
      }
    }
    if (failure !== undefined && total > maxBytes) throw failure
  }

  *#evictIfOld(entry: SizedEntry): Steps<boolean> {
    const isOld = Date.now() - entry.writtenAt > this.#limits.maxAgeMillis
    return isOld && !this.#isInUse(entry) && (yield* this.#evict(entry))
  }

  /** It is gone when this returns, whoever has removed it. */
  *#evict({ name, kind, size }: SizedEntry): Steps<true> {
    const path = this.#path(name)
    const body = yield* quietly(calls.readFile(path))
    try {
      yield* calls.unlink(path)
    } catch (error) {
      // Else somebody was faster.
      if (calls.codeOf(error) !== 'ENOENT') throw error
      return true
    }
    if (kind === 'ready' || kind === 'claimed') this.#inventory.count(-1, -size)
    this.#listener.evicted((body && countSpans(body)) ?? 0)
    return true
  }

  *#claim(found: SizedEntry): Steps<Claim | undefined> {
    if (this.#isStuck(found.name)) return undefined
    const name = this.#names.claimed(found.base)
    const entry: SizedEntry = { ...found, name, kind: 'claimed' }
    this.#inUse.add(name)
    try {
      yield* calls.rename(this.#path(found.name), this.#path(name))
    } catch (error) {
      this.#inUse.delete(name)
      if (calls.codeOf(error) !== 'ENOENT') this.#leave(found.name, `it cannot be claimed (${nameOf(error)})`)
      return undefined
    }
    if (found.kind === 'temporary') this.#inventory.count(1, found.size)
    let body: Uint8Array
    try {
      body = yield* calls.readFile(this.#path(name))
    } catch (error) {
      yield* this.#unread(entry, error)
      return undefined
    }
    const spanCount = countSpans(body)
    if (spanCount !== undefined) return { entry, body, spanCount }
    yield* this.setAside(entry, 'it is torn, or was never a request')
    return undefined
  }

  /** The file need not be to blame, but what it takes to read one: then it waits again. */
  *#unread(entry: Entry, error: unknown): Steps<void> {
    const why = `it cannot be read (${nameOf(error)})`
    if (UNREADABLE.includes(nameOf(error))) {
      yield* this.setAside(entry, why)
      return
    }
    yield* quietly(this.release(entry))
    // Else somebody was faster.
    if (calls.codeOf(error) !== 'ENOENT') this.#leave(entry.base, why)
  }
}

function nameOf(error: unknown): string {
  return calls.codeOf(error) ?? 'unknown'
}
