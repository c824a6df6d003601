/** A clock that stands still until it is told to go on: what `performance`, `Date` and the timers show meanwhile. */

const realSetImmediate = setImmediate
const original = { setTimeout, clearTimeout, dateNow: Date.now, random: Math.random }

/** More looks at the clock than this without a turn of the event loop, and the code under test is spinning. */
const MAX_READS = 20_000

/** Lets everything run that does not wait for time. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve)
  })
}

interface SimulatedTimer {
  readonly id: number
  readonly dueAt: number
  readonly callback: () => void
  /** Started by the surroundings (the collector's answer on its way), not by the code under test. */
  readonly isForeign: boolean
  keepsProcessAlive: boolean
}

/** Time for one sequence of commands. Timers are as coarse as Node's: whole milliseconds, at least one. */
export class SimulatedClock {
  #now = 50_000
  #wallOffsetMillis = 1_760_000_000_000
  #reads = 0
  #ids = 0
  #seed = 1
  readonly #timers = new Map<number, SimulatedTimer>()
  readonly #hasNumericHandles: boolean
  /** Told of the new time before anything that is due fires. */
  onPassing: (now: number) => void = () => {}

  /** @param hasNumericHandles - As in browsers and workerd. */
  constructor(hasNumericHandles: boolean) {
    this.#hasNumericHandles = hasNumericHandles
  }

  get now(): number {
    return this.#now
  }

  install(): void {
    Object.defineProperty(performance, 'now', {
      configurable: true,
      writable: true,
      value: () => this.#read(),
    })
    Date.now = () => this.#read() + this.#wallOffsetMillis
    Math.random = () => this.#random()
    const start = (callback: () => void, delayMillis = 0) => this.#start(callback, delayMillis, false)
    globalThis.setTimeout = start as unknown as typeof setTimeout
    globalThis.clearTimeout = ((handle: unknown) => this.#clear(handle)) as typeof clearTimeout
  }

  uninstall(): void {
    Reflect.deleteProperty(performance, 'now')
    Date.now = original.dateNow
    Math.random = original.random
    globalThis.setTimeout = original.setTimeout
    globalThis.clearTimeout = original.clearTimeout
  }

  /** Something outside the code under test happens later. */
  later(callback: () => void, delayMillis: number): void {
    this.#start(callback, delayMillis, true)
  }

  setWallClock(byMillis: number): void {
    this.#wallOffsetMillis += byMillis
  }

  /** Timers of the code under test. */
  get timerCount(): number {
    return this.#own().length
  }

  /** Those of them that keep a process alive. */
  get refedTimerCount(): number {
    return this.#own().filter((timer) => timer.keepsProcessAlive).length
  }

  /** True when every timer of the code under test that is due has fired. */
  get isQuiet(): boolean {
    return (this.nextDueAt ?? Infinity) > this.#now
  }

  /** When the next timer of the code under test is due. */
  get nextDueAt(): number | undefined {
    const due = this.#own().map((timer) => timer.dueAt)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  /** Goes on; each timer fires at its time, and `settle` runs after each. */
  async advance(millis: number, settle: () => Promise<void>): Promise<void> {
    const end = this.#now + millis
    for (let fired = 0; ; fired++) {
      if (fired > 10_000) throw new Error('the timers never come to rest')
      const timer = this.#next()
      if (timer === undefined || timer.dueAt > end) break
      this.#pass(Math.max(this.#now, timer.dueAt))
      this.#fire(timer)
      await settle()
    }
    this.#pass(end)
    await settle()
  }

  /**
   * The process stands still, and wakes up: first the late timers fire, then the sockets are looked at, as in Node.
   */
  async freeze(millis: number, settle: () => Promise<void>): Promise<void> {
    this.#pass(this.#now + millis)
    for (const isForeign of [false, true]) {
      const due = [...this.#timers.values()]
        .filter((timer) => timer.dueAt <= this.#now && timer.isForeign === isForeign)
        .sort(byTime)
      for (const timer of due) {
        if (!this.#timers.has(timer.id)) continue
        this.#fire(timer)
        await settle()
      }
    }
    await this.advance(0, settle)
  }

  /** A turn of the event loop has passed. */
  rested(): void {
    this.#reads = 0
  }

  #pass(now: number): void {
    this.#now = now
    this.onPassing(now)
  }

  #own(): SimulatedTimer[] {
    return [...this.#timers.values()].filter((timer) => !timer.isForeign)
  }

  #next(): SimulatedTimer | undefined {
    let next: SimulatedTimer | undefined
    for (const timer of this.#timers.values()) if (next === undefined || byTime(timer, next) < 0) next = timer
    return next
  }

  #fire(timer: SimulatedTimer): void {
    this.#timers.delete(timer.id)
    timer.callback()
  }

  #start(callback: () => void, delayMillis: number, isForeign: boolean): unknown {
    const id = ++this.#ids
    const timer = {
      id,
      dueAt: this.#now + Math.max(1, Math.trunc(delayMillis)),
      callback,
      isForeign,
      keepsProcessAlive: !this.#hasNumericHandles,
    }
    this.#timers.set(id, timer)
    if (this.#hasNumericHandles) return id
    return {
      id,
      unref: () => {
        timer.keepsProcessAlive = false
      },
    }
  }

  #clear(handle: unknown): void {
    this.#timers.delete(typeof handle === 'number' ? handle : ((handle as { id?: number })?.id ?? 0))
  }

  #read(): number {
    if (++this.#reads > MAX_READS) throw new Error('the loop is spinning')
    return this.#now
  }

  /** The same numbers in every run of a sequence. */
  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
    return this.#seed / 2 ** 32
  }
}

function byTime(a: SimulatedTimer, b: SimulatedTimer): number {
  return a.dueAt - b.dueAt || a.id - b.id
}
