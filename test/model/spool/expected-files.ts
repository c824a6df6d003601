/**
 * What may become of the files of a spool, told from nothing but what is done to the directory and what the backend was
 * sent: what has been promised is somewhere, at every instant.
 */
import { parseName } from '../../../src/spool/names.ts'
import { namesOf } from '../../helpers/gates.ts'
import type { Disk, DiskUser, Inode } from './disk.ts'
import type { SpoolSettings } from './settings.ts'

/** Nobody who lives makes a claim last longer, in milliseconds. */
const ABANDONED_AFTER_MILLIS = 120_000

/** What others do to the directory is known so much later at most, in milliseconds. */
const KNOWN_AFTER_MILLIS = 1000
/** The same to who writes while everything waits. */
const KNOWN_AT_ONCE_AFTER_MILLIS = 10_000

/** What one process has done. */
export interface Deeds {
  /** Spans of its own in files that are there to stay: no more may be reported as spooled. */
  readonly kept: Set<string>
  evictedFiles: number
  evictedSpans: number
  /** Half-written files of its own, and halves of files, that it removed: at once, or as the oldest, which counts as evicted. */
  leftovers: number
  /** Renamed, not yet known to stay. */
  renamed: Inode[]
}

/** Something that was done to the directory. */
interface Change {
  /** `undefined` is none of the processes. */
  readonly user: DiskUser | undefined
  readonly inode: Inode
  readonly at: number
  readonly isGone: boolean
}

export class ExpectedFiles {
  /** Spans that must not be lost. */
  readonly promised = new Set<string>()
  readonly delivered = new Map<string, number>()
  /** Spans that were given up in a way that is allowed. */
  readonly excused = new Set<string>()
  readonly #deeds = new Map<DiskUser, Deeds>()
  /** Files whose content the backend has taken, or found too large, by who was told so. */
  readonly #taken = new Map<Inode, DiskUser>()
  readonly #halved = new Map<Inode, DiskUser>()
  /** Who sends a file. */
  readonly #sending = new Map<Inode, DiskUser>()
  /** What not everybody knows yet. */
  #changes: Change[] = []
  readonly #settings: SpoolSettings
  readonly #violate: (message: string) => void
  readonly #clock: { readonly now: number }

  constructor(settings: SpoolSettings, clock: { readonly now: number }, violate: (message: string) => void) {
    this.#settings = settings
    this.#clock = clock
    this.#violate = violate
  }

  of(user: DiskUser): Deeds {
    let deeds = this.#deeds.get(user)
    if (deeds === undefined) {
      deeds = { kept: new Set(), evictedFiles: 0, evictedSpans: 0, leftovers: 0, renamed: [] }
      this.#deeds.set(user, deeds)
    }
    return deeds
  }

  /** Somebody else has put a file there. */
  appeared(inode: Inode): void {
    this.#changed(undefined, inode, false)
  }

  renamed(user: DiskUser, from: string, to: string, inode: Inode): void {
    this.#changed(user, inode, false)
    const kinds = [parseName(from)?.kind, parseName(to)?.kind]
    if (kinds[0] === 'temporary' && kinds[1] === 'ready') {
      if (!inode.isSynced) this.#violate('a file got its name before it was synced')
      this.of(user).renamed.push(inode)
    }
    if (kinds[1] === 'ready' && parseName(from)?.base !== to) this.#violate(`${from} was renamed to ${to}`)
  }

  /**
   * The files take `maxBytes`, and for each process what it writes and what it sends, and what the others did that who has
   * just written a file need not know.
   */
  checkBounds(user: DiskUser, from: string, inode: Inode, disk: Disk): void {
    if (parseName(from)?.kind !== 'temporary' || this.#isHalfOfWhole(user, inode, disk)) return
    const { maxBytes, maxBodyBytes } = this.#settings
    const bytes = bytesOn(disk) - this.#unknownBytes(user, false, disk)
    if (bytes > maxBytes + 4 * maxBodyBytes) this.#violate(`the spool takes ${bytes} bytes`)
  }

  #changed(user: DiskUser | undefined, inode: Inode, isGone: boolean): void {
    const { now } = this.#clock
    this.#changes = this.#changes.filter(({ at }) => now - at < KNOWN_AT_ONCE_AFTER_MILLIS)
    this.#changes.push({ user, inode, at: now, isGone })
  }

  /** What the others did, and it need not know; and what it did itself just now, perhaps while it did something else. */
  #unknown(user: DiskUser, { isAtOnce }: Disk): Change[] {
    const { now } = this.#clock
    const knownAfter = isAtOnce ? KNOWN_AT_ONCE_AFTER_MILLIS : KNOWN_AFTER_MILLIS
    return this.#changes.filter(({ user: doer, at }) => now - at < (doer === user ? 1 : knownAfter))
  }

  #unknownBytes(user: DiskUser, isGone: boolean, disk: Disk): number {
    const changes = this.#unknown(user, disk).filter(
      (change) => change.user !== user && change.isGone === isGone,
    )
    const inodes = new Set(changes.map(({ inode }) => inode))
    return [...inodes].reduce((sum, { data }) => sum + data.length, 0)
  }

  directorySynced(user: DiskUser): void {
    const deeds = this.of(user)
    for (const { data } of deeds.renamed.splice(0)) {
      for (const name of namesIn(data)) {
        this.promised.add(name)
        if (name.startsWith(`${user.pid}-`)) deeds.kept.add(name)
      }
    }
  }

  /** A file is about to be removed. */
  unlinking(user: DiskUser, name: string, inode: Inode, disk: Disk, now: number): void {
    const entry = parseName(name)
    const isOwn = entry?.owner?.includes(`-${user.pid}-`) === true
    this.#changed(user, inode, true)
    if (entry === undefined) this.#violate(`${name}, which is not the spool's, was removed`)
    else if (entry.kind === 'temporary' && isOwn) this.of(user).leftovers++
    else if (entry.kind === 'claimed' && isOwn && this.#taken.get(inode) === user) return
    else if (entry.kind === 'claimed' && isOwn && this.#halved.get(inode) === user) {
      const others = new Set(
        [...disk.files.values()].flatMap((other) => (other === inode ? [] : namesIn(other.data))),
      )
      const lost = namesIn(inode.data).filter((span) => !others.has(span) && !this.delivered.has(span))
      // Its halves could not be written, and it has waited for too long since.
      if (lost.length > 0) this.#evicting(user, name, inode, disk, now)
    } else if (this.#isHalfOfWhole(user, inode, disk)) {
      // The other half could not be written; or it is the oldest, in the moment before the whole is removed.
      this.of(user).leftovers++
      for (const span of namesIn(inode.data)) this.excused.add(span)
    } else this.#evicting(user, name, inode, disk, now)
  }

  #isHalfOfWhole(user: DiskUser, inode: Inode, disk: Disk): boolean {
    const spans = namesIn(inode.data)
    const wholes = [...disk.files.values()].filter((other) => this.#halved.get(other) === user)
    return spans.length > 0 && wholes.some((whole) => isWithin(spans, namesIn(whole.data)))
  }

  #evicting(user: DiskUser, name: string, inode: Inode, disk: Disk, now: number): void {
    const { maxAgeMillis, maxBytes } = this.#settings
    const entry = parseName(name)!
    const sender = this.#sending.get(inode)
    if (sender?.isAlive && entry.kind === 'claimed')
      this.#violate(`${name} was evicted while it was being sent`)
    if (now - entry.writtenAt <= maxAgeMillis) {
      const total = this.#settings.maxBodyBytes + bytesOn(disk) + this.#unknownBytes(user, true, disk)
      if (total <= maxBytes) this.#violate(`${name} was evicted from a spool of ${total} bytes`)
      const unknown = new Set(this.#unknown(user, disk).map((change) => change.inode))
      for (const [other, { data }] of disk.files) {
        const older = parseName(other)
        if (older?.kind !== 'ready' || unknown.has(disk.files.get(other)!) || data.length === 0) continue
        if (older.writtenAt < entry.writtenAt) this.#violate(`${name} was evicted before ${other}`)
      }
    }
    const deeds = this.of(user)
    const spans = namesIn(inode.data)
    for (const span of spans) this.excused.add(span)
    deeds.evictedFiles++
    deeds.evictedSpans += spans.length
  }

  sending(user: DiskUser, inode: Inode, name: string, now: number): void {
    const other = this.#sending.get(inode)
    const since = Number(/claimed-(\d+)-/.exec(name)?.[1] ?? now)
    if (other?.isAlive && now - since <= ABANDONED_AFTER_MILLIS) {
      this.#violate(`${name} was sent by ${user.pid} while ${other.pid} was at it`)
    }
    this.#sending.set(inode, user)
  }

  sent(user: DiskUser, inode: Inode, outcome: 'taken' | 'refused' | 'too large' | 'none'): void {
    if (this.#sending.get(inode) === user) this.#sending.delete(inode)
    const names = namesIn(inode.data)
    if (outcome === 'taken') this.#taken.set(inode, user)
    if (outcome === 'refused' || (outcome === 'too large' && names.length === 1)) {
      for (const name of names) this.excused.add(name)
    } else if (outcome === 'too large') this.#halved.set(inode, user)
  }

  took(names: readonly string[]): void {
    for (const name of names) this.delivered.set(name, (this.delivered.get(name) ?? 0) + 1)
  }

  /** Everything that was promised is delivered, still there, or given up as it may be. */
  checkNothingLost(disk: Disk, isOver: boolean): void {
    const there = new Set<string>()
    for (const [name, { data }] of disk.files) {
      const kind = parseName(name)?.kind
      if (kind === undefined) continue
      if (isOver && kind !== 'set-aside') this.#violate(`${name} is still there`)
      for (const span of namesIn(data)) there.add(span)
    }
    const lost = [...this.promised].filter(
      (name) => !this.delivered.has(name) && !there.has(name) && !this.excused.has(name),
    )
    if (lost.length > 0) this.#violate(`${lost} were kept, and are lost`)
  }
}

function isWithin(part: readonly string[], whole: readonly string[]): boolean {
  return part.length < whole.length && part.every((name) => whole.includes(name))
}

function bytesOn(disk: Disk): number {
  let bytes = 0
  for (const [name, { data }] of disk.files) if (parseName(name) !== undefined) bytes += data.length
  return bytes
}

const cache = new WeakMap<Uint8Array, string[]>()

/** The spans in a body; none if it is torn. */
export function namesIn(body: Uint8Array): string[] {
  let names = cache.get(body)
  if (names === undefined) {
    try {
      names = namesOf(body)
    } catch {
      names = []
    }
    cache.set(body, names)
  }
  return names
}
