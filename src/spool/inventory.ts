/** What lies in the directory of a spool, and how much of it waits. */
import { join } from 'node:path'
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

/** Looks at the directory, and keeps count in between. */
export class Inventory {
  readonly #directory: string
  readonly #sayForeign: (name: string) => void
  /** By name: what has been written once does not change. */
  #sizes = new Map<string, number>()
  #foreign = new Set<string>()
  waiting: Waiting = { files: 0, bytes: 0 }

  /** @param sayForeign - Told once of each file that is not the spool's. */
  constructor(directory: string, sayForeign: (name: string) => void) {
    this.#directory = directory
    this.#sayForeign = sayForeign
  }

  /** The files of the spool, oldest first. */
  *list(): Steps<SizedEntry[]> {
    const entries: SizedEntry[] = []
    const sizes = new Map<string, number>()
    const foreign = new Set<string>()
    for (const name of (yield* unlessGone(calls.readdir(this.#directory))) ?? []) {
      const entry = parseName(name)
      if (entry === undefined) {
        if (!this.#foreign.has(name)) this.#sayForeign(name)
        foreign.add(name)
        continue
      }
      const known = entry.kind === 'temporary' ? undefined : this.#sizes.get(entry.base)
      const size = known ?? (yield* unlessGone(calls.stat(join(this.#directory, name))))?.size
      if (size === undefined) continue
      sizes.set(entry.base, size)
      entries.push({ ...entry, size })
    }
    this.#sizes = sizes
    this.#foreign = foreign
    const waiting = entries.filter(({ kind }) => kind === 'ready' || kind === 'claimed')
    this.waiting = { files: waiting.length, bytes: waiting.reduce((sum, { size }) => sum + size, 0) }
    return entries.sort((a, b) => a.writtenAt - b.writtenAt || (a.base < b.base ? -1 : 1))
  }

  /** A file was written. */
  added(base: string, size: number): void {
    this.#sizes.set(base, size)
    this.count(1, size)
  }

  /** A file that waited does so no longer. */
  gone(base: string): void {
    this.count(-1, -(this.#sizes.get(base) ?? 0))
  }

  /** A file that was to be written is not there after all, if it ever was. */
  takenBack(base: string): void {
    if (this.#sizes.has(base)) this.gone(base)
  }

  count(files: number, bytes: number): void {
    this.waiting = { files: this.waiting.files + files, bytes: this.waiting.bytes + bytes }
  }
}
