/**
 * A disk that several simulated processes share: one directory of files, calls that take their turn, and what a power cut
 * leaves of it. What was not synced is lost then: files keep half of what was written to them, and of what was done to the
 * directory only the beginning has happened.
 */

/** Who makes a call. */
export interface DiskUser {
  readonly pid: number
  isAlive: boolean
  /** It dies right before this many more calls have been made. */
  callsToLive: number
}

/** What goes wrong, until the disk is well again. */
export type Fault = 'full' | 'read-only' | 'cannot sync' | 'cannot read' | 'busy'

const FAILING: Record<Fault, { code: string; calls: readonly string[] }> = {
  full: { code: 'ENOSPC', calls: ['write', 'mkdir'] },
  'read-only': { code: 'EROFS', calls: ['open wx', 'rename', 'unlink', 'mkdir'] },
  'cannot sync': { code: 'EIO', calls: ['fsync'] },
  'cannot read': { code: 'EIO', calls: ['readFile'] },
  busy: { code: 'EBUSY', calls: ['rename', 'unlink'] },
}

/** A call writes no more than this at once. */
const WRITE_MAX = 300

/** A file, whatever its name is just now. */
export class Inode {
  data = Buffer.alloc(0)
  isSynced = false
}

/** Hears of what is done to the directory. */
export interface DiskListener {
  renamed(user: DiskUser, from: string, to: string, inode: Inode): void
  unlinking(user: DiskUser, name: string, inode: Inode): void
  /** All that this user has renamed so far is there to stay. */
  directorySynced(user: DiskUser): void
  read(name: string, inode: Inode, body: Buffer): void
  died(user: DiskUser): void
}

interface PendingCall {
  readonly user: DiskUser
  run(): void
}

type Callback = (error: Error | null, result?: unknown) => void

export class Disk {
  readonly files = new Map<string, Inode>()
  fault: Fault | undefined
  /** Whether everything waits for the call that is being made. */
  isAtOnce = false
  readonly #listener: DiskListener
  readonly #descriptors = new Map<number, Inode | 'directory'>()
  /** What has been done to the directory and not been synced. */
  #undo: (() => void)[] = []
  #pending: PendingCall[] = []
  #lastDescriptor = 100

  constructor(listener: DiskListener) {
    this.#listener = listener
  }

  get isIdle(): boolean {
    return this.#pending.length === 0
  }

  /** A call that everything waits for. */
  atOnce(user: DiskUser, name: string, args: readonly unknown[]): unknown {
    this.isAtOnce = true
    try {
      return this.#call(user, name, args)
    } finally {
      this.isAtOnce = false
    }
  }

  /** A call that takes its turn. The dead are never called back. */
  inBackground(user: DiskUser, name: string, args: readonly unknown[], callback: Callback): void {
    const run = () => {
      let result: unknown
      try {
        result = this.#call(user, name, args)
      } catch (error) {
        if (user.isAlive) callback(error as Error)
        return
      }
      callback(null, result)
    }
    this.#pending.push({ user, run })
  }

  /** Makes one of the calls that wait: the first one of one of the users. */
  step(choose: (count: number) => number): void {
    const users = [...new Set(this.#pending.map(({ user }) => user))]
    const user = users[choose(users.length)]
    const index = this.#pending.findIndex((call) => call.user === user)
    const [call] = this.#pending.splice(index, 1)
    if (call?.user.isAlive) call.run()
  }

  /** @param choose - How much of what was not synced has happened. */
  cutPower(choose: (count: number) => number): void {
    const kept = choose(this.#undo.length + 1)
    for (const undo of this.#undo.splice(kept).reverse()) undo()
    this.#undo = []
    for (const inode of this.files.values()) {
      if (!inode.isSynced) inode.data = inode.data.subarray(0, inode.data.length >> 1)
      inode.isSynced = true
    }
    this.#pending = []
  }

  #call(user: DiskUser, name: string, args: readonly unknown[]): unknown {
    if (user.isAlive && user.callsToLive-- <= 0) {
      user.isAlive = false
      this.#listener.died(user)
    }
    if (!user.isAlive) throw new Error('it is dead')
    const failing = this.fault && FAILING[this.fault]
    if (failing?.calls.includes(name === 'open' ? `open ${args[1]}` : name)) throw failure(failing.code)
    return this.#calls[name]!(user, args)
  }

  readonly #calls: Record<string, (user: DiskUser, args: readonly unknown[]) => unknown> = {
    mkdir: () => undefined,
    open: (_, [path, flags]) => {
      const descriptor = ++this.#lastDescriptor
      if (flags === 'r') {
        this.#descriptors.set(descriptor, 'directory')
        return descriptor
      }
      const name = nameIn(path)
      if (this.files.has(name)) throw failure('EEXIST')
      const inode = new Inode()
      this.files.set(name, inode)
      this.#undo.push(() => this.files.delete(name))
      this.#descriptors.set(descriptor, inode)
      return descriptor
    },
    write: (_, [descriptor, bytes]) => {
      const inode = this.#descriptors.get(descriptor as number) as Inode
      const part = (bytes as Uint8Array).subarray(0, WRITE_MAX)
      inode.data = Buffer.concat([inode.data, part])
      inode.isSynced = false
      return part.length
    },
    fsync: (user, [descriptor]) => {
      const inode = this.#descriptors.get(descriptor as number)
      if (inode instanceof Inode) {
        inode.isSynced = true
        return
      }
      this.#undo = []
      this.#listener.directorySynced(user)
    },
    close: (_, [descriptor]) => void this.#descriptors.delete(descriptor as number),
    rename: (user, [fromPath, toPath]) => {
      const [from, to] = [nameIn(fromPath), nameIn(toPath)]
      const inode = this.#at(from)
      this.files.delete(from)
      this.files.set(to, inode)
      this.#undo.push(() => {
        this.files.delete(to)
        this.files.set(from, inode)
      })
      this.#listener.renamed(user, from, to, inode)
    },
    unlink: (user, [path]) => {
      const name = nameIn(path)
      const inode = this.#at(name)
      this.#listener.unlinking(user, name, inode)
      this.files.delete(name)
      this.#undo.push(() => this.files.set(name, inode))
    },
    readdir: () => [...this.files.keys()],
    stat: (_, [path]) => ({ size: this.#at(nameIn(path)).data.length }),
    readFile: (_, [path]) => {
      const name = nameIn(path)
      const inode = this.#at(name)
      const body = Buffer.from(inode.data)
      this.#listener.read(name, inode, body)
      return body
    },
  }

  #at(name: string): Inode {
    const inode = this.files.get(name)
    if (inode === undefined) throw failure('ENOENT')
    return inode
  }
}

function nameIn(path: unknown): string {
  return String(path).split('/').at(-1)!
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code}, on purpose`), { code })
}
