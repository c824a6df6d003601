/**
 * What lies in the directory of a spool, and how much of it waits, as far as is known: what was seen there, and what this
 * process has done to it since. A look takes the longer the more files there are, so that not each write has one.
 */
import { join } from 'node:path'
import { monotonicNow } from '../pipeline/deadline.ts'
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

/** What others do to the directory may be known so much later, in milliseconds. */
const LOOK_AGAIN_MILLIS = 1000

/** The files, by age and by name: finding one among n takes log n steps. */
export class Inventory {
  readonly #directory: string
  readonly #sayForeign: (name: string) => void
  #byName = new Map<string, SizedEntry>()
  #inOrder: SizedEntry[] = []
  #foreign = new Set<string>()
  #bytes = 0
  #waitingFiles = 0
  #waitingBytes = 0
  #lookedAt = -Infinity
  #looking = 0
  /** What was done while somebody was looking, who need not have seen it; `undefined` is gone. */
  readonly #doneMeanwhile = new Map<string, SizedEntry | undefined>()

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
  *oldestFirst(): Generator<SizedEntry> {
    let entry = this.#inOrder[0]
    while (entry !== undefined) {
      yield entry
      const index = this.#indexOf(entry)
      const isStillThere = this.#inOrder[index]?.name === entry.name
      entry = this.#inOrder[isStillThere ? index + 1 : index]
    }
  }

  /** Looks at the directory if that is due. True if it was. */
  *lookIfDue(): Steps<boolean> {
    const isDue = monotonicNow() - this.#lookedAt >= LOOK_AGAIN_MILLIS
    if (isDue) yield* this.look()
    return isDue
  }

  /** Looks at the directory. */
  *look(): Steps<void> {
    const startedAt = monotonicNow()
    if (this.#looking === 0) this.#doneMeanwhile.clear()
    this.#looking++
    try {
      const seen = yield* this.#see()
      // Else somebody has looked since, for whom everything waited.
      if (startedAt >= this.#lookedAt) this.#take(seen, startedAt)
    } finally {
      this.#looking--
    }
  }

  /** There is a file. */
  add(entry: SizedEntry): void {
    this.#note(entry.name, entry)
    if (this.#byName.has(entry.name)) return
    this.#byName.set(entry.name, entry)
    this.#inOrder.splice(this.#indexOf(entry), 0, entry)
    this.#count(entry, 1)
  }

  /** There is no such file any more. */
  remove({ name }: SizedEntry): void {
    this.#note(name, undefined)
    const entry = this.#byName.get(name)
    if (entry === undefined) return
    this.#byName.delete(name)
    this.#inOrder.splice(this.#indexOf(entry), 1)
    this.#count(entry, -1)
  }

  *#see(): Steps<Map<string, SizedEntry>> {
    const seen = new Map<string, SizedEntry>()
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
      if (size !== undefined) seen.set(name, size === known?.size ? known : { ...entry, size })
    }
    this.#foreign = foreign
    return seen
  }

  *#sizeOf(name: string): Steps<number | undefined> {
    return (yield* unlessGone(calls.stat(join(this.#directory, name))))?.size
  }

  #take(seen: Map<string, SizedEntry>, lookedAt: number): void {
    for (const [name, entry] of this.#doneMeanwhile) {
      if (entry === undefined) seen.delete(name)
      else seen.set(name, entry)
    }
    this.#byName = seen
    this.#inOrder = [...seen.values()].sort(byAge)
    this.#bytes = this.#waitingFiles = this.#waitingBytes = 0
    for (const entry of this.#inOrder) this.#count(entry, 1)
    this.#lookedAt = lookedAt
  }

  #note(name: string, entry: SizedEntry | undefined): void {
    if (this.#looking > 0) this.#doneMeanwhile.set(name, entry)
  }

  #count({ kind, size }: SizedEntry, sign: 1 | -1): void {
    this.#bytes += sign * size
    if (kind !== 'ready' && kind !== 'claimed') return
    this.#waitingFiles += sign
    this.#waitingBytes += sign * size
  }

  /** Where it is, or would be. */
  #indexOf(entry: SizedEntry): number {
    let from = 0
    let to = this.#inOrder.length
    while (from < to) {
      const middle = (from + to) >> 1
      if (byAge(this.#inOrder[middle] as SizedEntry, entry) < 0) from = middle + 1
      else to = middle
    }
    return from
  }
}

function byAge(a: Entry, b: Entry): number {
  return a.writtenAt - b.writtenAt || inOrder(a.base, b.base) || inOrder(a.name, b.name)
}

function inOrder(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
