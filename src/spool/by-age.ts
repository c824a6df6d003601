/** Files of a spool in order: by age, and by name. Finding one among n takes log n steps. */
import type { Entry } from './names.ts'

export class ByAge<Each extends Entry> {
  #entries: Each[] = []

  /** @param entry - One that is not there. */
  add(entry: Each): void {
    this.#entries.splice(this.#indexOf(entry), 0, entry)
  }

  /** @param entry - One that is there. */
  remove(entry: Each): void {
    this.#entries.splice(this.#indexOf(entry), 1)
  }

  /** Many come and go at once. Those that stay are in order, which the sort makes use of. */
  change(gone: readonly Each[], come: readonly Each[]): void {
    if (gone.length === 0 && come.length === 0) return
    const left = new Set(gone)
    this.#entries = [...this.#entries.filter((entry) => !left.has(entry)), ...come].sort(byAge)
  }

  /** What comes and goes meanwhile is heeded. */
  *oldestFirst(): Generator<Each> {
    for (let index = 0; index < this.#entries.length; ) {
      const entry = this.#entries[index] as Each
      yield entry
      if (this.#entries[index] !== entry) index = this.#indexOf(entry)
      if (this.#entries[index]?.name === entry.name) index++
    }
  }

  /** Where it is, or would be. */
  #indexOf(entry: Each): number {
    let from = 0
    let to = this.#entries.length
    while (from < to) {
      const middle = (from + to) >> 1
      if (byAge(this.#entries[middle] as Each, entry) < 0) from = middle + 1
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
