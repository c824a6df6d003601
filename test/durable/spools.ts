/** Processes that write to a spool or read from it, and what must be true when they are dead. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { namesOf } from '../helpers/gates.ts'
import { type Collector, startCollector } from '../helpers/misbehaving-collector.ts'

/** Nobody listens there: see https://www.rfc-editor.org/rfc/rfc863, and no machine does. */
const NOBODY = 'http://127.0.0.1:9/v1/traces'

/** A spool, its processes, and what they have reported. */
export class CrashingSpool {
  readonly directory = mkdtempSync(join(tmpdir(), 'tailrace-crash-'))
  /** Spans that were reported as spooled. */
  readonly kept = new Set<string>()
  readonly #bundle: string
  #runs = 0

  constructor(bundle: string) {
    this.#bundle = bundle
    onTestFinished(() => rmSync(this.directory, { recursive: true, force: true }))
  }

  /** Runs a program to its end, whichever that is. */
  async run(
    program: string,
    {
      url = NOBODY,
      killAt = '',
      powerCut = '',
      killAfterMillis,
    }: { url?: string; killAt?: string; powerCut?: string; killAfterMillis?: number } = {},
  ): Promise<{ end: number | string; calls: number }> {
    const child = spawn(
      process.execPath,
      [this.#bundle, program, this.directory, url, `run${this.#runs++}`],
      {
        env: { ...process.env, KILL_AT: killAt, POWER_CUT: powerCut, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' },
        stdio: ['ignore', 'pipe', 'inherit'],
        timeout: 60_000,
        killSignal: 'SIGTERM',
      },
    )
    let output = ''
    let isDoomed = false
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (killAfterMillis === undefined || isDoomed || !output.includes('ready')) return
      isDoomed = true
      setTimeout(() => child.kill('SIGKILL'), killAfterMillis)
    })
    const [code, signal] = await once(child, 'close')
    for (const [, names = ''] of output.matchAll(/^kept (.+)$/gm)) {
      for (const name of names.split(' ')) this.kept.add(name)
    }
    return { end: code ?? signal, calls: Number(/^calls (\d+)$/m.exec(output)?.[1]) }
  }

  /** A fresh process sends all that waits: everything that was reported is there, and nothing that never was. */
  async expectAllDelivered(collector?: Collector): Promise<void> {
    const receiver = collector ?? (await startCollector())
    try {
      expect(await this.run('read', { url: receiver.url })).toMatchObject({ end: 0 })
      const delivered = new Set(receiver.requests.flatMap(({ body }) => namesOf(body)))
      expect([...this.kept].filter((name) => !delivered.has(name))).toEqual([])
      expect([...delivered].filter((name) => !/^run\d+-\d+$/.test(name))).toEqual([])
    } finally {
      if (collector === undefined) await receiver.stop()
    }
  }
}
