/** What the spool of one exporter has done, and how it behaves when the disk does not. */
import { monotonicNow } from '../pipeline/deadline.ts'
import { log } from '../pipeline/report.ts'
import { codeOf, run, runSync } from './calls.ts'
import { type Claim, type DirectoryListener, SpoolDirectory, type SpoolLimits } from './directory.ts'
import type { Waiting } from './inventory.ts'
import type { SpoolMetrics } from './metrics.ts'
import { splitRequest } from './request.ts'
import type { BatchStore } from './spiller.ts'

/** Counts of files and of the spans in them. */
export interface SpoolCount {
  readonly files: number
  readonly spans: number
}

/** What has become of batches, as far as this process had to do with them. A plain object, the caller's own. */
export interface SpoolStats {
  /** Kept by this process. */
  readonly written: SpoolCount
  /** Delivered from the spool by this process, whoever wrote them; `rejected` of the spans were not accepted. */
  readonly replayed: SpoolCount & { readonly rejected: number }
  /** Given up by this process because of `maxBytes` or `maxAgeMillis`. */
  readonly evicted: SpoolCount
  /** Torn, unreadable, or refused by the backend for good: renamed to `*.set-aside` by this process. */
  readonly setAside: { readonly files: number }
  /** What waited in the directory when this process last looked, whoever wrote it, and what it has done since. */
  readonly waiting: { readonly files: number; readonly bytes: number }
}

/** After a write that failed, the next one comes no sooner, in milliseconds: until then batches stay in memory. */
const WRITE_PAUSE_MILLIS = 10_000

/** A line of one kind is not repeated sooner, in milliseconds. */
const QUIET_MILLIS = 60_000

/** The directory, its books, and what is said about it. No method throws, no promise rejects. */
export class SpoolStore implements BatchStore, DirectoryListener {
  readonly #directory: SpoolDirectory
  readonly #path: string
  readonly #written = { files: 0, spans: 0 }
  readonly #replayed = { files: 0, spans: 0, rejected: 0 }
  readonly #evicted = { files: 0, spans: 0 }
  readonly #setAside = { files: 0 }
  readonly #quietUntil = new Map<string, number>()
  metrics: SpoolMetrics | undefined
  #pausedUntil = 0
  #isFailing = false

  constructor(limits: SpoolLimits) {
    this.#path = limits.directory
    this.#directory = new SpoolDirectory(limits, this)
  }

  get isWritable(): boolean {
    return monotonicNow() >= this.#pausedUntil
  }

  /** What waits, as far as is known. */
  get waiting(): Waiting {
    return this.#directory.waiting
  }

  stats(): SpoolStats {
    return {
      written: { ...this.#written },
      replayed: { ...this.#replayed },
      evicted: { ...this.#evicted },
      setAside: { ...this.#setAside },
      waiting: { ...this.waiting },
    }
  }

  async write(body: Uint8Array, spanCount: number): Promise<boolean> {
    try {
      await run(this.#directory.write(body))
    } catch (error) {
      return this.#failed(error)
    }
    return this.#succeeded(spanCount)
  }

  writeSync(body: Uint8Array, spanCount: number): boolean {
    try {
      runSync(this.#directory.write(body, true))
    } catch (error) {
      return this.#failed(error)
    }
    return this.#succeeded(spanCount)
  }

  /** @param last - Names that are taken only when there is nothing else. */
  async claim(last: ReadonlySet<string>): Promise<Claim | undefined> {
    return this.#try(() => run(this.#directory.claim(last)))
  }

  async release(claim: Claim): Promise<void> {
    await this.#try(() => run(this.#directory.release(claim.entry)))
  }

  async delivered(claim: Claim, rejected: number): Promise<void> {
    await this.#try(() => run(this.#directory.remove(claim)))
    this.#replayed.files++
    this.#replayed.spans += claim.spanCount - rejected
    this.#replayed.rejected += rejected
    this.metrics?.replayed(claim.spanCount, rejected)
  }

  async refused({ entry }: Claim, why: string): Promise<void> {
    await this.#try(() => run(this.#directory.setAside(entry, why)))
  }

  /** Two halves take its place. False where there is no room for them: it waits again. */
  async split(claim: Claim): Promise<boolean> {
    const { body, entry } = claim
    const isSplit = await this.#try(async () => {
      await run(this.#directory.writeParts(splitRequest(body), entry))
      return true
    })
    if (isSplit) await this.#try(() => run(this.#directory.remove(claim)))
    else await this.release(claim)
    return isSplit === true
  }

  evicted(spanCount: number): void {
    this.#evicted.files++
    this.#evicted.spans += spanCount
    this.metrics?.evicted(spanCount)
    this.#warn('evicted', `the spool ${this.#path} is too full or too old: spans are given up, oldest first`)
  }

  setAside(name: string, why: string): void {
    this.#setAside.files++
    this.metrics?.setAside()
    this.#warn(`aside ${why}`, `${name} in the spool ${this.#path} is set aside: ${why}`)
  }

  stuck(name: string, why: string): void {
    this.#warn(`stuck ${why}`, `${name} in the spool ${this.#path} is left alone for now: ${why}`)
  }

  foreign(name: string): void {
    this.#warn('foreign', `${name} in the spool ${this.#path} is not the spool's, and is left alone`)
  }

  #succeeded(spanCount: number): true {
    this.#written.files++
    this.#written.spans += spanCount
    this.metrics?.written(spanCount)
    if (this.#isFailing) log('info', `the spool ${this.#path} can be written to again`)
    this.#isFailing = false
    return true
  }

  #failed(error: unknown): false {
    this.#pausedUntil = monotonicNow() + WRITE_PAUSE_MILLIS
    if (!this.#isFailing) {
      const why = codeOf(error) ?? (error as Error).message
      this.#warn('write', `the spool ${this.#path} cannot be written to (${why}): spans stay in memory`)
    }
    this.#isFailing = true
    return false
  }

  async #try<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work()
    } catch (error) {
      this.#warn('replay', `the spool ${this.#path} cannot be read or changed (${codeOf(error)})`)
      return undefined
    }
  }

  #warn(kind: string, message: string): void {
    const now = monotonicNow()
    if (now < (this.#quietUntil.get(kind) ?? 0)) return
    this.#quietUntil.set(kind, now + QUIET_MILLIS)
    log('warn', message)
  }
}
