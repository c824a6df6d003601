/**
 * Signals come to the main thread only, which tells the others. A channel of our own, so that nobody's `message`
 * listeners see it, and so that it keeps no thread alive:
 *
 *     main                          worker thread
 *       │ ◄───── here, gone ──────────┤  as it begins to listen, as it ends
 *       ├─────── who is there? ─────► │  as main begins to listen
 *       ├─────── shut down ─────────► │
 *       │ ◄───── done ────────────────┤
 */
import { threadId, type Worker } from 'node:worker_threads'
import { warn } from './checks.ts'
import { type FlushStatus, within } from './target.ts'

const CHANNEL = 'tailrace.shutdown'

type Message =
  | { readonly kind: 'here' | 'gone' | 'done'; readonly listener: string }
  | { readonly kind: 'who is there?' }
  | { readonly kind: 'shut down'; readonly timeoutMillis: number }

type Channel = Pick<BroadcastChannel, 'postMessage' | 'close'>

function openChannel(receive: (message: Message) => void): Channel {
  const channel = new BroadcastChannel(CHANNEL) as BroadcastChannel & { unref?(): void }
  // Deno's would keep the process alive. Threads are on their own there.
  if (channel.unref === undefined) {
    channel.close()
    return { postMessage() {}, close() {} }
  }
  channel.onmessage = (event) => receive((event as MessageEvent<Message>).data)
  channel.unref()
  return channel
}

/** The main thread's side: knows which threads listen. */
export class ListeningThreads {
  readonly #channel: Channel
  /** Those that have to be waited for. */
  readonly #listeners = new Set<string>()
  readonly #onWorker = (worker: Worker) => {
    const { threadId: thread } = worker // Gone by the time of the event.
    worker.once('exit', () => {
      for (const listener of this.#listeners) if (listener.startsWith(`${thread}.`)) this.#forget(listener)
    })
  }
  #onChange = () => {}

  constructor() {
    this.#channel = openChannel((message) => {
      if (message.kind === 'here') this.#listeners.add(message.listener)
      else if (message.kind === 'gone' || message.kind === 'done') this.#forget(message.listener)
    })
    process.on('worker', this.#onWorker)
    this.#post({ kind: 'who is there?' })
  }

  /** Has them shut down, and waits for that. Never throws, never rejects. */
  async shutdown(timeoutMillis: number): Promise<FlushStatus> {
    this.#post({ kind: 'shut down', timeoutMillis })
    const allDone = new Promise<void>((resolve) => {
      this.#onChange = () => {
        if (this.#listeners.size === 0) resolve()
      }
      this.#onChange()
    })
    return within(
      timeoutMillis,
      () => allDone,
      (problem) => warn(`shutting down the worker threads ${problem}`),
    )
  }

  close(): void {
    process.off('worker', this.#onWorker)
    this.#channel.close()
  }

  #forget(listener: string): void {
    this.#listeners.delete(listener)
    this.#onChange()
  }

  #post(message: Message): void {
    this.#channel.postMessage(message)
  }
}

let listenerCount = 0

/**
 * A worker thread's side: shuts down when the main thread says so.
 * @returns Stops it.
 */
export function listenToMainThread(shutdown: (timeoutMillis: number) => Promise<unknown>): () => void {
  const listener = `${threadId}.${++listenerCount}`
  const channel = openChannel(async (message) => {
    if (message.kind === 'who is there?') post({ kind: 'here', listener })
    if (message.kind !== 'shut down') return
    await shutdown(message.timeoutMillis)
    post({ kind: 'done', listener })
  })
  const post = (message: Message) => channel.postMessage(message)
  const leave = () => {
    process.off('exit', leave)
    post({ kind: 'gone', listener })
    channel.close()
  }
  process.once('exit', leave)
  post({ kind: 'here', listener })
  return leave
}
