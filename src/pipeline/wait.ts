/** Waiting, working without making others wait, and working later. */
import { monotonicNow, NO_TIMER, startTimer, type Timer } from './deadline.ts'

/** A step that takes no longer has waited for nothing, in milliseconds. */
const BRIEF_MILLIS = 5

/** Work goes on no longer than this without letting the event loop turn, in milliseconds. */
const MAX_BUSY_MILLIS = 10

/** A wait that others can end. One at a time. */
export class Wait {
  #end: (end: 'interrupted') => void = () => {}

  /** Ends the wait that is on, if there is one. */
  interrupt(): void {
    this.#end('interrupted')
  }

  /** Waits so many milliseconds, or until `promise` settles, which must not reject. */
  async until(millis: number, promise?: Promise<void>): Promise<'over' | 'settled' | 'interrupted'> {
    let timer: Timer = NO_TIMER
    const end = await new Promise<'over' | 'settled' | 'interrupted'>((resolve) => {
      this.#end = resolve
      timer = startTimer(() => resolve('over'), millis)
      promise?.then(() => resolve('settled'))
    })
    timer.cancel()
    this.#end = () => {}
    return end
  }
}

/** Lets the event loop turn now and then, while step after step takes no time. */
export class EventLoopTurns {
  #turnedAt = monotonicNow()

  /** A step is over that began at `startedAt`. One that took time has waited for I/O: the event loop has turned. */
  async after(startedAt: number): Promise<void> {
    const now = monotonicNow()
    if (now - startedAt > BRIEF_MILLIS) {
      this.#turnedAt = now
    } else if (now - this.#turnedAt > MAX_BUSY_MILLIS) {
      await new Promise<void>((resolve) => startTimer(resolve, 0, true))
      this.#turnedAt = monotonicNow()
    }
  }
}

/** Work that is to be done after the code that is running now, once, however often it is asked for. */
export class Soon {
  isPending = false
  readonly #work: () => void

  constructor(work: () => void) {
    this.#work = work
  }

  start(): void {
    if (this.isPending) return
    this.isPending = true
    queueMicrotask(() => {
      this.isPending = false
      this.#work()
    })
  }
}

/**
 * Something that others are to hear of after the code that is running now, once, however often it comes up. What comes up
 * while they hear it waits until the event loop has turned: it could go on for ever.
 */
export class Announcement {
  readonly #soon = new Soon(() => this.#makeNow())
  #isBeingMade = false
  #willBeMadeLater = false
  readonly #make: () => void

  /** @param make - Must not throw. */
  constructor(make: () => void) {
    this.#make = make
  }

  makeSoon(): void {
    if (this.#isBeingMade) this.#makeLater()
    else this.#soon.start()
  }

  #makeNow(): void {
    this.#willBeMadeLater = false
    this.#isBeingMade = true
    this.#make()
    this.#isBeingMade = false
  }

  #makeLater(): void {
    if (this.#willBeMadeLater) return
    try {
      startTimer(() => this.#makeNow(), 0)
      this.#willBeMadeLater = true
    } catch {
      // A Worker outside a request has no timers; those of one that is over never fire. What comes up next brings this along.
    }
  }
}
