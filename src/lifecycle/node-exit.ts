/** The end of a Node process: by signal, by `process.exit`, or because nothing is left to do. */
import { constants } from 'node:os'

/** Marks listeners of ours, whichever copy of this file they come from. */
const OURS = Symbol.for('tailrace.signalListener')

/** A listener that is not counted among the others. */
export function asOurs<Listener extends (signal: NodeJS.Signals) => void>(listener: Listener): Listener {
  return Object.assign(listener, { [OURS]: true })
}

/** Whether anybody but us listens for the signal: ending the process is their job, then. */
export function hasOtherListeners(signal: NodeJS.Signals): boolean {
  return process.listeners(signal).some((listener) => !(OURS in listener))
}

/** Ends the process by the signal, as if it had never been listened for, unless somebody still listens. */
export function raise(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 0) return
  process.kill(process.pid, signal)
  // Still here: process 1 of a container is spared by signals that it does not listen for.
  process.exit(128 + constants.signals[signal])
}

/** What is done before a held `process.exit` goes on. */
type LastWork = () => Promise<unknown>

const holders = new Set<LastWork>()
let realExit: typeof process.exit | undefined
/** How the held exit goes on; set once somebody has called it. */
let leave: (() => void) | undefined

/** A hold on `process.exit`. */
export interface ExitHold {
  /** Somebody has called `process.exit`, which goes on when the last work is done. */
  readonly isLeaving: boolean
  /** Lets go. */
  release(): void
  /** Lets go, and lets a `process.exit` that was called go on at once. */
  abandon(): void
}

/**
 * Until it is released, `process.exit` first does the last work and then exits with the code that it was given.
 * Meanwhile it returns, though its type says otherwise.
 */
export function holdExit(lastWork: LastWork): ExitHold {
  if (realExit === undefined) {
    realExit = process.exit
    process.exit = heldExit as typeof process.exit
  }
  holders.add(lastWork)
  return {
    get isLeaving() {
      return leave !== undefined
    },
    release() {
      holders.delete(lastWork)
      if (holders.size > 0 || leave !== undefined || process.exit !== heldExit) return
      process.exit = realExit as typeof process.exit
      realExit = undefined
    },
    abandon() {
      this.release()
      leave?.()
    },
  }
}

function heldExit(code?: number | string | null): void {
  const exit = realExit as typeof process.exit
  // Whoever put theirs on top of ours keeps it in use.
  if (holders.size === 0) exit.call(process, code)
  if (leave !== undefined) return
  if (code !== undefined && code !== null) process.exitCode = code // Throws what `process.exit` throws.
  const { exitCode } = process
  leave = () => exit.call(process, exitCode)
  Promise.all([...holders].map((work) => work())).finally(leave)
}
