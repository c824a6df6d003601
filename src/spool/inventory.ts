/**
 * What lies in the directory of a spool, and how much of it waits, as far as is known: what was seen there, and what this
 * process has done to it since. A look takes the longer the more files there are, so that who needs one says how old what
 * is known may be.
 */
import { join } from 'node:path'
import { monotonicNow } from '../pipeline/deadline.ts'
import { ByAge } from './by-age.ts'
import type { Steps } from './calls.ts'
import * as calls from './calls.ts'
import { unlessGone } from './calls.ts'
import { type Entry, parseName } from './names.ts'

/** What waits. */
export interface Waiting {
  readonly files: number
  readonly bytes: number
}

/** A file of the spool, and how large it is. */
export interface SizedEntry extends Entry {
  readonly size: number
}

export class Inventory {
  readonly #directory: string
  readonly #sayForeign: (name: string) => void
  readonly #byName = new Map<string, SizedEntry>()
  readonly #all = new ByAge<SizedEntry>()
  /** Those that are not set aside: however many are, finding one to claim takes no longer. */
  readonly #claimable = new ByAge<SizedEntry>()
  #foreign = new Set<string>()
  #bytes = 0
  #waitingFiles = 0
  #waitingBytes = 0
  #lookedAt = -Infinity
  /** For each look that is under way, the names to which something was done since it began: it need not have seen that. */
  readonly #touchedSince = new Set<Set<string>>()

  /** @param sayForeign - Told once of each file that is not the spool's. */
  constructor(directory: string, sayForeign: (name: string) => void) {
    this.#directory = directory
    this.#sayForeign = sayForeign
  }

  /** Of all files of the spool, whatever they are. */
  get bytes(): number {
    return this.#bytes
  }

  get waiting(): Waiting {
    return { files: this.#waitingFiles, bytes: this.#waitingBytes }
  }

  /** The files of the spool. What comes and goes meanwhile is heeded. */
  oldestFirst(): Iterable<SizedEntry> {
    return this.#all.oldestFirst()
  }

  /** Those of them that are not set aside. */
  claimableOldestFirst(): Iterable<SizedEntry> {
    return this.#claimable.oldestFirst()
  }

  /** Looks at the directory, unless what is known is younger than so many milliseconds. True if it did. */
  *lookAfter(millis: number): Steps<boolean> {
    const isDue = monotonicNow() - this.#lookedAt >= millis
    if (isDue) yield* this.look()
    return isDue
  }

  /** Looks at the directory. */
  *look(): Steps<void> {
    const startedAt = monotonicNow()
    const touched = new Set<string>()
    this.#touchedSince.add(touched)
    try {
      const seen = yield* this.#see()
      // Else somebody has looked since, for whom everything waited, and knows better.
      if (startedAt >= this.#lookedAt) this.#take(seen, touched, startedAt)
    } finally {
      this.#touchedSince.delete(touched)
    }
  }

  /** There is a file. */
  add(entry: SizedEntry): void {
    this.#touch(entry.name)
    if (this.#byName.has(entry.name)) return
    this.#byName.set(entry.name, entry)
    this.#all.add(entry)
    if (isClaimable(entry)) this.#claimable.add(entry)
    this.#count(entry, 1)
  }

  /** There is no such file any more. */
  remove({ name }: SizedEntry): void {
    this.#touch(name)
    const entry = this.#byName.get(name)
    if (entry === undefined) return
    this.#byName.delete(name)
    this.#all.remove(entry)
    if (isClaimable(entry)) this.#claimable.remove(entry)
    this.#count(entry, -1)
  }

  *#see(): Steps<Set<SizedEntry>> {
    const seen = new Set<SizedEntry>()
    const foreign = new Set<string>()
    for (const name of (yield* unlessGone(calls.readdir(this.#directory))) ?? []) {
      const known = this.#byName.get(name)
      const entry = known ?? parseName(name)
      if (entry === undefined) {
        if (!this.#foreign.has(name)) this.#sayForeign(name)
        foreign.add(name)
        continue
      }
      // What has been written once does not change.
      const size = (entry.kind === 'temporary' ? undefined : known?.size) ?? (yield* this.#sizeOf(name))
      if (size !== undefined) seen.add(size === known?.size ? known : { ...entry, size })
    }
    this.#foreign = foreign
    return seen
  }

  *#sizeOf(name: string): Steps<number | undefined> {
    return (yield* unlessGone(calls.stat(join(this.#directory, name))))?.size
  }

  #take(seen: ReadonlySet<SizedEntry>, touched: ReadonlySet<string>, lookedAt: number): void {
    const gone = [...this.#byName.values()].filter((entry) => !seen.has(entry) && !touched.has(entry.name))
    const come = [...seen].filter(
      (entry) => this.#byName.get(entry.name) !== entry && !touched.has(entry.name),
    )
    for (const entry of gone) {
      this.#byName.delete(entry.name)
      this.#count(entry, -1)
    }
    for (const entry of come) {
      this.#byName.set(entry.name, entry)
      this.#count(entry, 1)
    }
    this.#all.change(gone, come)
    this.#claimable.change(gone, come.filter(isClaimable))
    this.#lookedAt = lookedAt
  }

  #touch(name: string): void {
    for (const touched of this.#touchedSince) touched.add(name)
  }

  #count({ kind, size }: SizedEntry, sign: 1 | -1): void {
    this.#bytes += sign * size
    if (kind !== 'ready' && kind !== 'claimed') return
    this.#waitingFiles += sign
    this.#waitingBytes += sign * size
  }
}

function isClaimable({ kind }: Entry): boolean {
  return kind !== 'set-aside'
}
