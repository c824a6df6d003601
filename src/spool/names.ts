/**
 * The names of the files of a spool. What a file is, how old it is and whose it is can be told from its name:
 *
 *     .1795412345678-9f3a1c2b0000002a.otlp.pb.<owner>.tmp         being written
 *      1795412345678-9f3a1c2b0000002a.otlp.pb                     waits
 *      1795412345678-9f3a1c2b0000002a.otlp.pb.claimed-<owner>     being sent
 *      1795412345678-9f3a1c2b0000002a.otlp.pb.set-aside           will not be sent: torn, unreadable, or refused
 *
 * The sequence is the writer, by a random number, and a count, so that no two writers ever choose the same name.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

const NAME = /^(?:(\.))?((\d{13,15})-[0-9a-f]{16}\.otlp\.pb)(?:\.(set-aside|claimed-(.+))|\.(.+)\.tmp)?$/
const OWNER = /^(\d{13,15})-([0-9a-f]{8})-(\d+)-([0-9a-f]{8})$/

/** A process is gone, for all that can be known of it elsewhere, when what it began is older, in milliseconds. */
const ABANDONED_AFTER_MILLIS = 120_000

/** A file of the spool. */
export interface Entry {
  readonly name: string
  readonly kind: 'temporary' | 'ready' | 'claimed' | 'set-aside'
  /** The name under which it waits. */
  readonly base: string
  /** When it was written, by the wall clock. */
  readonly writtenAt: number
  /** Who writes or sends it. */
  readonly owner: string | undefined
}

/** What a name says; `undefined` for the name of somebody else's file. */
export function parseName(name: string): Entry | undefined {
  const [, dot, base, millis, suffix, claimer, writer] = NAME.exec(name) ?? []
  if (base === undefined || (dot === undefined) !== (writer === undefined)) return undefined
  const kind =
    writer !== undefined
      ? 'temporary'
      : claimer !== undefined
        ? 'claimed'
        : suffix === undefined
          ? 'ready'
          : 'set-aside'
  return { name, kind, base, writtenAt: Number(millis), owner: writer ?? claimer }
}

/** Makes names for one spool in one process. */
export class Names {
  readonly #writer = randomBytes(4).toString('hex')
  readonly #host = hostId()
  #count = 0
  #lastMillis = 0

  /**
   * A name that nobody else chooses; those of one writer ascend, whatever the clock does.
   * @param writtenAt - For a part of an older file, which takes that file's place.
   */
  next(writtenAt?: number): string {
    this.#lastMillis = Math.max(Date.now(), this.#lastMillis)
    const count = (this.#count++ >>> 0).toString(16).padStart(8, '0')
    return `${writtenAt ?? this.#lastMillis}-${this.#writer}${count}.otlp.pb`
  }

  temporary(base: string): string {
    return `.${base}.${this.#owner()}.tmp`
  }

  claimed(base: string): string {
    return `${base}.claimed-${this.#owner()}`
  }

  setAside(base: string): string {
    return `${base}.set-aside`
  }

  /** Whether whoever was at work on the file is gone. What we ourselves are at work on we know better. */
  isAbandoned({ owner = '' }: Entry): boolean {
    const [, since, host, pid, writer] = OWNER.exec(owner) ?? []
    if (since === undefined) return true
    if (writer === this.#writer) return true
    if (host === this.#host && Number(pid) !== process.pid && !isAlive(Number(pid))) return true
    return Date.now() - Number(since) > ABANDONED_AFTER_MILLIS
  }

  #owner(): string {
    return `${Date.now()}-${this.#host}-${process.pid}-${this.#writer}`
  }
}

/** The same for all processes that can see each other's ids. */
function hostId(): string {
  let namespace = ''
  try {
    namespace = readlinkSync('/proc/self/ns/pid')
  } catch {
    // Only Linux has namespaces.
  }
  return createHash('sha256').update(`${hostname()} ${namespace}`).digest('hex').slice(0, 8)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
