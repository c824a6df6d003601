/** Processes that share a spool on a simulated disk, in front of a backend, with the model looking on. */
import { diag } from '@opentelemetry/api'
import { ExportError, type Outcome } from '../../../src/types.ts'
import { SimulatedClock, turn } from '../simulated-clock.ts'
import type { CommandKind } from './commands.ts'
import { Disk, type DiskListener, type Fault, type Inode } from './disk.ts'
import { ExpectedFiles, namesIn } from './expected-files.ts'
import { running, type Send, SpoolProcess } from './process.ts'
import type { SpoolSettings } from './settings.ts'

/** What the backend can do with a request. */
export const ANSWERS = ['delivered', 'unavailable', 'retry-after', 'final', 'too large', 'hangs'] as const
export type BackendAnswer = (typeof ANSWERS)[number]

/** What happened last, in the terms of the report. */
export const SEEN = ['nothing', ...ANSWERS, 'written', 'crashed'] as const
export type Seen = (typeof SEEN)[number]

const RETRY_AFTER_MILLIS = 7000
const MAX_PROCESSES = 2
/** A line of one kind is not repeated sooner, in milliseconds. */
const QUIET_MILLIS = 60_000
/** Replays wait for fresh spans no longer, in milliseconds. */
const MAX_YIELD_MILLIS = 5000
const HISTORY_LINES = 80

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))

/** How the calls of the file system are led here. */
export type Divert = (disk: Disk | undefined) => void

export class SpoolWorld implements DiskListener {
  readonly clock = new SimulatedClock(false)
  readonly disk = new Disk(this)
  readonly settings: SpoolSettings
  readonly files: ExpectedFiles
  readonly processes: SpoolProcess[] = []
  commandCount = 0
  onCommand: (kind: CommandKind) => void = () => {}
  lastSeen: Seen = 'nothing'
  answer: BackendAnswer = 'delivered'
  latencyMillis = 0
  /** Nothing has happened that could make the backend see a span twice. */
  isUneventful = true
  /** The disk has always been well: nothing may be dropped. */
  wasAlwaysWell = true
  /** Who evicted a file cannot tell how many spans it held. */
  wasUnreadable = false
  readonly #divert: Divert
  readonly #violations: string[] = []
  readonly #history: string[] = []
  readonly #bodies = new WeakMap<Uint8Array, { inode: Inode; name: string }>()
  readonly #restore: () => void
  #lastPid = 4000
  #seed = 1

  constructor(settings: SpoolSettings, divert: Divert) {
    this.settings = settings
    this.#divert = divert
    this.files = new ExpectedFiles(settings, this.clock, (message) => this.#violations.push(message))
    this.clock.install()
    this.#restore = this.#disguise()
    divert(this.disk)
    this.startProcess()
  }

  begin(kind: CommandKind, detail: string): void {
    this.commandCount++
    this.note(`> ${kind} ${detail}`)
    this.onCommand(kind)
  }

  get living(): SpoolProcess[] {
    return this.processes.filter(({ isAlive }) => isAlive)
  }

  /** One of those that live. */
  pick(index: number): SpoolProcess {
    const { living } = this
    return living[index % living.length]!
  }

  get hasRoom(): boolean {
    return this.living.length < MAX_PROCESSES
  }

  startProcess(): void {
    const started = new SpoolProcess(++this.#lastPid, this.clock.now, this.settings, this.#send)
    this.processes.push(started)
  }

  break(fault: Fault | undefined): void {
    this.disk.fault = fault
    if (fault === undefined) return
    if (fault === 'cannot read') this.wasUnreadable = true
    this.wasAlwaysWell = this.isUneventful = false
  }

  crash(victim: SpoolProcess, calls: number): void {
    this.isUneventful = false
    if (calls > 0) victim.callsToLive = calls
    else this.#kill(victim)
  }

  exit(victim: SpoolProcess): void {
    this.isUneventful = false
    victim.flushSync()
    const { pending } = victim.processor.stats()
    if (victim.isAlive && this.wasAlwaysWell && pending > 0)
      this.#violate(`${pending} spans were lost at an exit`)
    this.look()
    this.#kill(victim)
  }

  cutPower(): void {
    this.isUneventful = false
    for (const victim of this.living) this.#kill(victim)
    this.disk.cutPower((count) => this.#choose(count))
  }

  shutdown(process: SpoolProcess, timeoutMillis: number): void {
    this.isUneventful = false
    process.shutdown(timeoutMillis).then(() => {
      // One with less time than another only ends its own wait.
      const isLast = process.shutdownCalls === 0
      const { pending } = process.processor.stats()
      if (process.isAlive && isLast && pending > 0)
        this.#violate(`${pending} spans are pending after a shutdown`)
    })
  }

  async advance(millis: number): Promise<void> {
    await this.clock.advance(millis, () => this.settle())
  }

  /** Lets everything run that can, one call of the file system after the other. */
  async settle(): Promise<void> {
    for (let steps = 0; ; steps++) {
      await turn()
      this.clock.rested()
      this.look()
      if (this.disk.isIdle) break
      if (steps > 20_000) throw new Error('the disk never comes to rest')
      this.disk.step((count) => this.#choose(count))
    }
    this.files.checkNothingLost(this.disk, false)
    this.#fail()
  }

  /** The end of every sequence: all is well again, and a process comes that sends everything that is left. */
  async finish(): Promise<void> {
    this.break(undefined)
    this.answer = 'delivered'
    this.latencyMillis = 0
    for (const process of this.living) process.callsToLive = Infinity
    if (this.living.every(({ isShutDown }) => isShutDown)) this.startProcess()
    await this.settle()
    for (let i = 0; i < 30; i++) await this.advance(20_000)
    for (const process of this.living) if (!process.isShutDown) process.shutdown(1000)
    await this.advance(10_000)
    await this.settle()
    for (const { pid, processor } of this.living) {
      const { pending } = processor.stats()
      if (pending > 0) this.#violate(`${pending} spans of ${pid} are pending in the end`)
    }
    this.files.checkNothingLost(this.disk, true)
    if (this.isUneventful) {
      const twice = [...this.files.delivered].filter(([, count]) => count > 1)
      if (twice.length > 0) this.#violate(`${twice} were delivered more than once for no reason`)
    }
    this.#fail()
  }

  dispose(): void {
    this.#divert(undefined)
    for (const process of this.processes) process.isAlive = false
    this.#restore()
    this.clock.uninstall()
  }

  // ── The disk's side ───────────────────────────────────────────────────────────────────────────────────────────

  renamed(user: SpoolProcess, from: string, to: string, inode: Inode): void {
    this.note(`${user.pid} renames ${from} to ${to}`)
    this.files.renamed(user, from, to, inode)
    if (this.wasAlwaysWell) this.files.checkBounds(user, from, inode, this.disk)
  }

  unlinking(user: SpoolProcess, name: string, inode: Inode): void {
    this.note(`${user.pid} removes ${name}`)
    this.files.unlinking(user, name, inode, this.disk, Date.now())
  }

  directorySynced(user: SpoolProcess): void {
    this.files.directorySynced(user)
    this.lastSeen = 'written'
  }

  read(name: string, inode: Inode, body: Buffer): void {
    this.#bodies.set(body, { inode, name })
  }

  died(user: SpoolProcess): void {
    this.note(`${user.pid} dies`)
    this.lastSeen = 'crashed'
  }

  #kill(victim: SpoolProcess): void {
    if (!victim.isAlive) return
    victim.isAlive = false
    this.died(victim)
  }

  // ── The backend's side ────────────────────────────────────────────────────────────────────────────────────────

  readonly #send: Send = (process, { body }, { signal }) => {
    const file = this.#bodies.get(body)
    const names = namesIn(Buffer.from(body))
    const { answer, latencyMillis } = this
    const { now } = this.clock
    this.note(`${process.pid} ${file ? 'replays' : 'sends'} ${names}: ${answer}`)
    if (file) this.#checkReplay(process, file.inode, file.name, now)
    else process.freshInFlight++
    return new Promise((resolve) => {
      let isOver = false
      const settle = (outcome: Outcome, seen: BackendAnswer) => {
        if (isOver || !process.isAlive) return
        isOver = true
        this.#settled(process, file?.inode, outcome, names)
        this.lastSeen = seen
        resolve(outcome)
      }
      signal.addEventListener('abort', () => {
        this.isUneventful = false
        settle({ kind: 'retryable', error: new ExportError('timeout', 'no answer') }, 'hangs')
      })
      if (answer === 'hangs') return
      this.clock.later(() => settle(outcomeOf(answer), answer), latencyMillis)
    })
  }

  #checkReplay(process: SpoolProcess, inode: Inode, name: string, now: number): void {
    this.files.sending(process, inode, name, Date.now())
    const since = now - process.lastReplayAt
    const pause = 1000 / this.settings.maxReplaysPerSecond
    if (since < pause - 1) this.#violate(`a replay came ${since} ms after another`)
    if (now < process.patienceUntil) this.#violate(`a replay came before ${process.patienceUntil}`)
    const waited = now - Math.max(process.startedAt, process.lastReplayAt)
    if (process.freshInFlight > 0 && waited < MAX_YIELD_MILLIS && process.replayCalls === 0) {
      this.#violate(`a replay did not wait for fresh spans: ${waited} ms`)
    }
    process.lastReplayAt = now
  }

  #settled(
    process: SpoolProcess,
    inode: Inode | undefined,
    outcome: Outcome,
    names: readonly string[],
  ): void {
    const { kind } = outcome
    if (inode === undefined) process.freshInFlight--
    if (kind !== 'retryable') process.patienceUntil = 0
    else if (outcome.retryAfterMillis) process.patienceUntil = this.clock.now + outcome.retryAfterMillis
    if (kind === 'delivered') this.files.took(names)
    const of = { delivered: 'taken', final: 'refused', too_large: 'too large', retryable: 'none' } as const
    if (inode) this.files.sent(process, inode, of[kind])
    // One span that nobody takes is dropped, whether it was on disk or not.
    if (kind === 'final' || (kind === 'too_large' && names.length === 1)) {
      for (const name of names) this.files.excused.add(name)
    }
  }

  // ── Looking on ────────────────────────────────────────────────────────────────────────────────────────────────

  look(): void {
    for (const process of this.living) this.#checkBooks(process)
    for (const reason of unhandled.splice(0)) this.#violate(`unhandled rejection: ${reason}`)
    this.#fail()
  }

  #checkBooks(process: SpoolProcess): void {
    const { processor, exporter, pid, spanCount } = process
    const { ended, exported, rejected, failed, pending, spooled = 0, dropped } = processor.stats()
    const all = exported + rejected + failed + pending + spooled
    const lost = Object.values(dropped).reduce((sum, count) => sum + count)
    if (ended !== spanCount || all + lost !== ended) this.#violate(`the ledger of ${pid} does not balance`)
    const { kept, evictedFiles, evictedSpans, leftovers } = this.files.of(process)
    if (spooled > kept.size)
      this.#violate(`${pid} reports ${spooled} spans, of which ${kept.size} are there to stay`)
    const { evicted } = exporter.stats()
    const others = evicted.files - evictedFiles
    const isExact = others === 0 && !this.wasUnreadable
    const isWrong = others < 0 || others > leftovers || (isExact && evicted.spans !== evictedSpans)
    if (this.disk.isIdle && isWrong) {
      this.#violate(
        `${pid} counts ${JSON.stringify(evicted)} as evicted, not ${evictedFiles} of ${evictedSpans} spans`,
      )
    }
    const { queue_full, queue_bytes_full, retry_exhausted, shutdown_timeout } = dropped
    if (this.wasAlwaysWell && queue_full + queue_bytes_full + retry_exhausted + shutdown_timeout > 0) {
      this.#violate(`${pid} dropped what could have been kept: ${JSON.stringify(dropped)}`)
    }
  }

  note(event: string): void {
    this.#history.push(`${String(this.clock.now).padStart(8)} ${event}`)
  }

  #violate(message: string): void {
    this.#violations.push(message)
  }

  #fail(): void {
    if (this.#violations.length === 0) return
    const texts = [...new Set(this.#violations)].join('; ')
    throw new Error(`${texts}\n${this.#history.slice(-HISTORY_LINES).join('\n')}`)
  }

  #choose(count: number): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
    return (this.#seed >>> 8) % count
  }

  /** Each process has its own id, timers that die with it, and a log. */
  #disguise(): () => void {
    const { pid, kill } = process
    const start = globalThis.setTimeout as (callback: () => void, millis?: number) => unknown
    const own = (callback: () => void, millis?: number) => {
      const owner = running.getStore()
      return start(() => {
        if (owner === undefined) callback()
        else if (owner.isAlive) running.run(owner, callback)
      }, millis)
    }
    globalThis.setTimeout = own as typeof setTimeout
    Object.defineProperty(process, 'pid', { configurable: true, get: () => running.getStore()?.pid ?? pid })
    process.kill = (other, signal) => {
      if (running.getStore() === undefined) return kill.call(process, other, signal)
      if (this.living.some((each) => each.pid === other)) return true
      throw Object.assign(new Error('no such process'), { code: 'ESRCH' })
    }
    const warn = (text: string) => this.#told(text)
    diag.setLogger(
      { error: warn, warn, info() {}, debug() {}, verbose() {} },
      { suppressOverrideMessage: true },
    )
    return () => {
      diag.disable()
      process.kill = kill
      Object.defineProperty(process, 'pid', { configurable: true, writable: true, value: pid })
    }
  }

  #told(text: string): void {
    const teller = running.getStore()
    if (teller === undefined || !text.includes('cannot be written to')) return
    const { now } = this.clock
    if (now - (teller.warnedAt.at(-1) ?? -Infinity) < QUIET_MILLIS) this.#violate('a warning was repeated')
    teller.warnedAt.push(now)
  }
}

function outcomeOf(answer: Exclude<BackendAnswer, 'hangs'>): Outcome {
  if (answer === 'delivered') return { kind: 'delivered', rejected: 0 }
  if (answer === 'final')
    return { kind: 'final', error: new ExportError('http_status', '400', { status: 400 }) }
  if (answer === 'too large') return { kind: 'too_large', error: new ExportError('too_large', '413') }
  const error = new ExportError('http_status', '503', { status: 503 })
  if (answer === 'unavailable') return { kind: 'retryable', error }
  return { kind: 'retryable', error, retryAfterMillis: RETRY_AFTER_MILLIS }
}
