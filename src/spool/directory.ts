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
  /** Can be neither sent nor set aside just now: tried again later. */
  stuck(name: string, why: string): void
  /** Not ours: left alone. */
  foreign(name: string): void
}

/** A file that is ours to send, and nobody else's. */
export interface Claim {
  readonly entry: SizedEntry
  readonly body: Uint8Array
  readonly spanCount: number
}

/** What others do to the directory is known so much later at most, in milliseconds. */
const LOOK_AFTER_MILLIS = 1000
/** The same where the whole process waits for it, which a look would hold up. */
const LOOK_AFTER_AT_ONCE_MILLIS = 10_000

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
  readonly #sent = new Map<string, SizedEntry>()
  /** Until when a name is left alone. */
  readonly #stuckUntil = new Map<string, number>()
  /** Whether a claim has looked in vain, and none has found anything since. */
  #hasLookedInVain = false

  constructor(limits: SpoolLimits, listener: DirectoryListener) {
    this.#limits = limits
    this.#listener = listener
    this.#durable = new DurableDirectory(limits.directory)
    this.#inventory = new Inventory(limits.directory, (name) => listener.foreign(name))
  }

  /** What waits, as far as is known. */
  get waiting(): Waiting {
    return this.#inventory.waiting
  }

  /**
   * Returns when the body is there to stay.
   * @param isAtOnce - Whether everything waits for it.
   */
  *write(body: Uint8Array, isAtOnce = false): Steps<void> {
    yield* this.#durable.make()
    yield* this.#makeRoom(body.length, isAtOnce ? LOOK_AFTER_AT_ONCE_MILLIS : LOOK_AFTER_MILLIS)
    yield* this.#write(this.#names.next(), body)
  }

  /** Puts parts beside the whole, which is about to be removed: all of them, or none. */
  *writeParts(parts: readonly Uint8Array[], { writtenAt }: Entry): Steps<void> {
    const named = parts.map((body) => ({ base: this.#names.next(writtenAt), body }))
    try {
      for (const { base, body } of named) yield* this.#write(base, body)
    } catch (error) {
      for (const { base, body } of named) yield* quietly(this.#remove(entryOf(base, body.length)))
      throw error
    }
  }

  *#write(base: string, body: Uint8Array): Steps<void> {
    const temporary = entryOf(this.#names.temporary(base), body.length)
    this.#inUse.add(temporary.name)
    this.#inventory.add(temporary)
    try {
      yield* writeFile(this.#path(temporary.name), body)
      yield* this.#rename(temporary, entryOf(base, body.length))
    } catch (error) {
      yield* quietly(this.#remove(temporary))
      throw error
    } finally {
      this.#inUse.delete(temporary.name)
    }
    yield* syncDirectory(this.#limits.directory)
  }

  /**
   * Takes the oldest file that waits and is whole, for this process alone. What is too old is given up, what is torn or
   * cannot be read is set aside.
   * @param last - Names that are taken only when there is nothing else.
   */
  *claim(last: ReadonlySet<string>): Steps<Claim | undefined> {
    for (const entry of [...this.#sent.values()]) yield* quietly(this.#removeSent(entry))
    const hasLooked = yield* this.#inventory.lookAfter(LOOK_AFTER_MILLIS)
    const isFirst = ({ base }: Entry) => !last.has(base)
    let claim = yield* this.#claimOneOf(isFirst)
    if (claim === undefined && !hasLooked && !this.#hasLookedInVain) {
      // Somebody else may have written something since.
      yield* this.#inventory.look()
      claim = yield* this.#claimOneOf(isFirst)
    }
    this.#hasLookedInVain = claim === undefined
    return claim ?? (yield* this.#claimOneOf((entry) => !isFirst(entry)))
  }

  *#claimOneOf(isMeant: (entry: Entry) => boolean): Steps<Claim | undefined> {
    yield* this.#giveUpOldest(() => false)
    for (const entry of this.#inventory.claimableOldestFirst()) {
      if (!isMeant(entry) || this.#isInUse(entry)) continue
      const claim = yield* this.#claim(entry)
      if (claim !== undefined) return claim
    }
    return undefined
  }

  /** It waits again, for whoever comes next. */
  *release(entry: SizedEntry): Steps<void> {
    try {
      yield* unlessGone(this.#rename(entry, entryOf(entry.base, entry.size)))
    } finally {
      this.#inUse.delete(entry.name)
    }
  }

  /** It has been sent. Nobody sends it again, even if it cannot be removed. */
  *remove({ entry }: Claim): Steps<void> {
    this.#sent.set(entry.name, entry)
    yield* this.#removeSent(entry)
  }

  /** It will not be sent: whoever runs this may want to look at it. */
  *setAside(entry: SizedEntry, why: string): Steps<void> {
    const aside = entryOf(this.#names.setAside(entry.base), entry.size)
    this.#inUse.delete(entry.name)
    try {
      yield* unlessGone(this.#rename(entry, aside))
    } catch {
      this.#leave(entry.name, why)
      return
    }
    this.#listener.setAside(aside.name, why)
  }

  *#removeSent(entry: SizedEntry): Steps<void> {
    yield* unlessGone(this.#remove(entry))
    this.#sent.delete(entry.name)
    this.#inUse.delete(entry.name)
  }

  *#rename(from: SizedEntry, to: SizedEntry): Steps<void> {
    yield* this.#heedGone(from, calls.rename(this.#path(from.name), this.#path(to.name)))
    this.#inventory.remove(from)
    this.#inventory.add(to)
  }

  *#remove(entry: SizedEntry): Steps<void> {
    yield* this.#heedGone(entry, calls.unlink(this.#path(entry.name)))
    this.#inventory.remove(entry)
  }

  /** What is found to be gone is known to be: others share the directory. */
  *#heedGone(entry: SizedEntry, steps: Steps<void>): Steps<void> {
    try {
      yield* steps
    } catch (error) {
      if (calls.codeOf(error) === 'ENOENT') this.#inventory.remove(entry)
      throw error
    }
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

  *#makeRoom(bytes: number, lookAfterMillis: number): Steps<void> {
    const { directory, maxBytes } = this.#limits
    if (bytes > maxBytes)
      throw new RangeError(`a batch of ${bytes} bytes exceeds the maxBytes of ${directory}`)
    yield* this.#inventory.lookAfter(lookAfterMillis)
    const isFull = () => this.#inventory.bytes + bytes > maxBytes
    const failure = yield* this.#giveUpOldest(isFull)
    if (failure !== undefined && isFull()) throw failure
  }

  /** The oldest go while there is no room, and while they are too old. Answers with what kept one from going, if anything. */
  *#giveUpOldest(isFull: () => boolean): Steps<unknown> {
    let failure: unknown
    for (const entry of this.#inventory.oldestFirst()) {
      if (!isFull() && Date.now() - entry.writtenAt <= this.#limits.maxAgeMillis) break
      if (this.#isInUse(entry)) continue
      try {
        yield* this.#evict(entry)
      } catch (error) {
        failure = error
      }
    }
    return failure
  }

  /** It is gone when this returns, whoever has removed it. */
  *#evict(entry: SizedEntry): Steps<void> {
    const body = yield* quietly(calls.readFile(this.#path(entry.name)))
    try {
      yield* this.#remove(entry)
    } catch (error) {
      // Else somebody was faster.
      if (calls.codeOf(error) !== 'ENOENT') throw error
      return
    }
    this.#listener.evicted((body && countSpans(body)) ?? 0)
  }

  *#claim(found: SizedEntry): Steps<Claim | undefined> {
    if (this.#isStuck(found.name)) return undefined
    const entry = entryOf(this.#names.claimed(found.base), found.size)
    const { name } = entry
    this.#inUse.add(name)
    try {
      yield* this.#rename(found, entry)
    } catch (error) {
      this.#inUse.delete(name)
      if (calls.codeOf(error) !== 'ENOENT') this.#leave(found.name, `it cannot be claimed (${nameOf(error)})`)
      return undefined
    }
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
  *#unread(entry: SizedEntry, error: unknown): Steps<void> {
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

function entryOf(name: string, size: number): SizedEntry {
  return { ...(parseName(name) as Entry), size }
}

function nameOf(error: unknown): string {
  return calls.codeOf(error) ?? 'unknown'
}
