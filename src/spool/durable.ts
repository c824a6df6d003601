/** What is to survive a power cut: files whose content is on the disk, and directories whose entries are. */
import { dirname } from 'node:path'
import type { Steps } from './calls.ts'
import * as calls from './calls.ts'

/** What a file system says that cannot sync a directory. */
const CANNOT_SYNC = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

/** Returns when the content is there to stay; the name is, once its directory has been synced. */
export function* writeFile(path: string, body: Uint8Array): Steps<void> {
  const fd = yield* calls.open(path, 'wx', 0o600)
  try {
    for (let at = 0; at < body.length; ) at += yield* calls.write(fd, body.subarray(at))
    yield* calls.fsync(fd)
  } finally {
    yield* calls.close(fd)
  }
}

/** Returns when the names in the directory are there to stay. */
export function* syncDirectory(path: string): Steps<void> {
  // Windows opens no directories, and keeps their entries in its journal.
  if (process.platform === 'win32') return
  const fd = yield* calls.open(path, 'r')
  try {
    yield* calls.fsync(fd)
  } catch (error) {
    if (!CANNOT_SYNC.includes(calls.codeOf(error) ?? '')) throw error
  } finally {
    yield* calls.close(fd)
  }
}

/** A directory that is made where it is not there, and stays. */
export class DurableDirectory {
  readonly #path: string
  /** Where something was made that may be gone after a power cut. */
  readonly #unsynced = new Set<string>()

  constructor(path: string) {
    this.#path = path
  }

  *make(): Steps<void> {
    const first = yield* calls.makeDirectory(this.#path)
    if (first !== undefined) {
      for (let made = this.#path; made.length >= first.length; made = dirname(made)) {
        this.#unsynced.add(dirname(made))
      }
    }
    for (const parent of [...this.#unsynced]) {
      yield* syncParent(parent)
      this.#unsynced.delete(parent)
    }
  }
}

/** One that we may not read is somebody else's, who answers for it. */
function* syncParent(path: string): Steps<void> {
  try {
    yield* syncDirectory(path)
  } catch (error) {
    if (calls.codeOf(error) !== 'EACCES') throw error
  }
}
