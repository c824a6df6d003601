/**
 * Debian's Chromium, driven over a pipe with the raw DevTools protocol: frameworks keep their pages visible, and turn the
 * back/forward cache off.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

export const CHROMIUM = '/usr/bin/chromium'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
]

/** Why tests in Chromium cannot run here; undefined if they can. In CI they always must. */
export const whyNoChromium =
  existsSync(CHROMIUM) || process.env.CI ? undefined : `${CHROMIUM} is missing: apt-get install chromium`

/** A tab. */
export interface Page {
  /** Runs an expression, which may be a promise, and returns its value. */
  evaluate<T>(expression: string): Promise<T>
  /** Goes elsewhere, and settles when that is loaded. */
  navigate(url: string): Promise<void>
  /** Goes back one entry of the history; says whether the page came out of the back/forward cache. */
  goBack(): Promise<boolean>
  /** Brings the tab to the front; the one that was there is hidden. */
  activate(): Promise<void>
  /** As the browser does with a tab that has been in the background for a while. */
  freeze(): Promise<void>
  /** Closes it as a user would: with its `pagehide`. */
  close(): Promise<void>
}

/** A running browser with a profile of its own. */
export interface Chromium {
  open(url: string): Promise<Page>
  close(): Promise<void>
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly sessionId?: string
  readonly params?: Record<string, unknown>
  readonly result?: never
  readonly error?: { message: string }
}

/** Starts the browser, with further flags; end it with `close`. */
export async function launchChromium(...flags: string[]): Promise<Chromium> {
  const profile = await mkdtemp(join(tmpdir(), 'tailrace-chromium-'))
  const child = spawn(CHROMIUM, [...FLAGS, ...flags, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const input = child.stdio[3] as Writable
  const output = child.stdio[4] as Readable
  const calls = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>()
  const listeners = new Set<(message: Message) => void>()
  let lastId = 0
  let unread = ''

  output.setEncoding('utf8')
  output.on('data', (text: string) => {
    const messages = (unread + text).split('\0')
    unread = messages.pop() as string
    for (const message of messages) receive(JSON.parse(message) as Message)
  })
  input.on('error', () => {}) // It is gone, and every call is rejected below.
  exited.then(() => {
    for (const { reject } of calls.values()) reject(new Error('Chromium has exited'))
  })

  function receive(message: Message): void {
    if (message.id === undefined) {
      for (const listener of listeners) listener(message)
      return
    }
    const call = calls.get(message.id)
    calls.delete(message.id)
    if (message.error) call?.reject(new Error(message.error.message))
    else call?.resolve(message.result as never)
  }

  function call<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    const id = ++lastId
    return new Promise((resolve, reject) => {
      calls.set(id, { resolve, reject })
      input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    })
  }

  function whenEvent(sessionId: string, ...methods: string[]): Promise<string> {
    return new Promise((resolve) => {
      const listener = ({ method = '', sessionId: from }: Message) => {
        if (from !== sessionId || !methods.includes(method)) return
        listeners.delete(listener)
        resolve(method)
      }
      listeners.add(listener)
    })
  }

  async function open(url: string): Promise<Page> {
    const { targetId } = await call<{ targetId: string }>('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await call<{ sessionId: string }>('Target.attachToTarget', {
      targetId,
      flatten: true,
    })
    await call('Page.enable', {}, sessionId)
    const page: Page = {
      async evaluate(expression) {
        const { result, exceptionDetails } = await call<{
          result: { value: never }
          exceptionDetails?: { exception?: { description?: string }; text: string }
        }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId)
        if (exceptionDetails) {
          throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
        }
        return result.value
      },
      async navigate(to) {
        const loaded = whenEvent(sessionId, 'Page.loadEventFired')
        await call('Page.navigate', { url: to }, sessionId)
        await loaded
      },
      async goBack() {
        const { currentIndex, entries } = await call<{ currentIndex: number; entries: { id: number }[] }>(
          'Page.getNavigationHistory',
          {},
          sessionId,
        )
        const end = whenEvent(sessionId, 'Page.frameNavigated', 'Page.backForwardCacheNotUsed')
        await call('Page.navigateToHistoryEntry', { entryId: entries[currentIndex - 1]?.id ?? 0 }, sessionId)
        return (await end) === 'Page.frameNavigated'
      },
      activate: () => call('Target.activateTarget', { targetId }),
      freeze: () => call('Page.setWebLifecycleState', { state: 'frozen' }, sessionId),
      async close() {
        // The session may end before it answers.
        await call('Page.close', {}, sessionId).catch(() => {})
      },
    }
    await page.navigate(url)
    return page
  }

  return {
    open,
    async close() {
      await call('Browser.close').catch(() => {})
      await exited
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
