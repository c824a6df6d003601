/** What must hold when the process stands still and goes on: run against a real process of any version of Node. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as elapsed } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Answer, Command } from '../programs/freezable.ts'
import { bundleProgram } from './bundle.ts'
import { answers, type Behaviour, type Collector, startCollector } from './misbehaving-collector.ts'
import { decodeProtobuf } from './otlp-schema.ts'

/** What an attempt of the program may take. */
const ATTEMPT_MILLIS = 1200
/** Longer than every limit of the program, and than what it takes for late. */
const FREEZE_MILLIS = 2500
/** A first request takes a tenth of a busy CPU more than a second. */
const THROTTLED_ATTEMPT_MILLIS = 20_000

/** A request that is answered when the test says so. */
function heldRequest(): Behaviour & { whenHeld: Promise<Socket> } {
  let hold: (socket: Socket) => void = () => {}
  const whenHeld = new Promise<Socket>((resolve) => {
    hold = resolve
  })
  return { stage: 'request', act: (socket) => hold(socket), whenHeld }
}

/** The program, and the collector that it sends to. */
class Program {
  readonly collector: Collector
  readonly #child: ChildProcess

  constructor(child: ChildProcess, collector: Collector) {
    this.#child = child
    this.collector = collector
  }

  /** Settles with the answer to the command. */
  async tell(command: Command): Promise<Answer> {
    const answered = this.nextAnswer()
    this.#child.send(command)
    return answered
  }

  async nextAnswer(): Promise<Answer> {
    const [answer] = (await once(this.#child, 'message')) as [Answer]
    return answer
  }

  /** Does not wait for the answer. */
  send(command: Command): void {
    this.#child.send(command)
  }

  async freeze(meanwhile: () => void = () => {}): Promise<void> {
    this.#child.kill('SIGSTOP')
    meanwhile()
    await elapsed(FREEZE_MILLIS)
    this.#child.kill('SIGCONT')
  }

  /** Lets it run for a tenth of the time, until `end` settles. */
  async throttle(end: Promise<unknown>): Promise<void> {
    let isOver = false
    end.finally(() => {
      isOver = true
    })
    while (!isOver) {
      this.#child.kill('SIGSTOP')
      await elapsed(90)
      this.#child.kill('SIGCONT')
      await elapsed(10)
    }
  }

  get deliveredSpans(): number {
    let spans = 0
    for (const { body } of this.collector.requests) {
      for (const { scopeSpans } of decodeProtobuf(body).resourceSpans) {
        for (const scope of scopeSpans) spans += scope.spans.length
      }
    }
    return spans
  }
}

/** Defines the tests for the Node at `nodePath`. */
export function describeFreezing(nodePath: string): void {
  describe('a process that is stopped for longer than every deadline', { timeout: 60_000 }, () => {
    let bundle: string
    beforeAll(async () => {
      bundle = await bundleProgram('freezable.ts')
    })

    async function withProgram<T>(
      check: (program: Program) => Promise<T>,
      attemptMillis = ATTEMPT_MILLIS,
    ): Promise<T> {
      const collector = await startCollector()
      const child = fork(bundle, [collector.url, String(attemptMillis)], { execPath: nodePath, execArgv: [] })
      try {
        await once(child, 'message')
        return await check(new Program(child, collector))
      } finally {
        child.kill('SIGKILL')
        await collector.stop()
      }
    }

    for (const [ending, close] of [
      ['FIN', (socket: Socket) => socket.end()],
      ['RST', (socket: Socket) => socket.resetAndDestroy()],
    ] as const) {
      /** Settles with how long the flush after the thaw took. */
      const thaw = (): Promise<number> =>
        withProgram(async (program) => {
          const first = heldRequest()
          program.collector.script(first)
          await program.tell({ do: 'end', count: 3 })
          const flushed = program.tell({ do: 'flush', timeoutMillis: 5000 })
          const socket = await first.whenHeld
          answers(200).act(socket, undefined)
          expect((await flushed).result?.status).toBe('success')

          await program.freeze(() => {
            close(socket)
            // Waits in the pipe, so that the program sends in the first turn after the thaw.
            program.send({ do: 'end', count: 4 })
            program.send({ do: 'flush', timeoutMillis: 5000 })
          })
          await program.nextAnswer()
          const { result, stats, errors, drops } = await program.nextAnswer()
          // A backoff would be 20 s, four times what the flush is given.
          expect(result).toMatchObject({ status: 'success', exported: 4 })
          expect(stats).toMatchObject({ ended: 7, exported: 7, pending: 0 })
          expect([errors, drops]).toEqual([[], []])
          return result!.durationMillis
        })

      test.concurrent(`B27: a kept-alive socket that ended meanwhile (${ending}) costs one retry at most, under 100 ms`, async () => {
        let fastestMillis = Number.POSITIVE_INFINITY
        // On a busy machine the program may have to wait for its turn after the thaw; hardly three times.
        for (let round = 0; round < 3 && fastestMillis >= 100; round++) {
          fastestMillis = Math.min(fastestMillis, await thaw())
        }
        expect(fastestMillis).toBeLessThan(100)
      })
    }

    test.concurrent('B27: an answer that came meanwhile is taken: nothing is dropped, sent twice, or held against the backend', () =>
      withProgram(async (program) => {
        const held = heldRequest()
        program.collector.script(held)
        await program.tell({ do: 'end', count: 3 })
        const flushed = program.tell({ do: 'flush', timeoutMillis: 60_000 })
        const socket = await held.whenHeld
        await program.freeze(() => answers(200).act(socket, undefined))
        const { result, stats, errors, drops } = await flushed
        expect(result).toMatchObject({ status: 'success', exported: 3 })
        expect(program.collector.requests).toHaveLength(1)
        expect(stats).toMatchObject({ exported: 3, pending: 0 })
        expect([errors, drops]).toEqual([[], []])
      }))

    test.concurrent('B27: a request whose connection broke meanwhile is sent again at once, and opens no breaker', () =>
      withProgram(async (program) => {
        const held = heldRequest()
        program.collector.script(held)
        await program.tell({ do: 'end', count: 3 })
        const flushed = program.tell({ do: 'flush', timeoutMillis: 60_000 })
        const socket = await held.whenHeld
        await program.freeze(() => socket.resetAndDestroy())
        // Its backoff would be 20 s.
        const { result, stats, errors, drops } = await flushed
        expect(result).toMatchObject({ status: 'success', exported: 3 })
        expect(result?.durationMillis).toBeLessThan(10_000)
        expect(program.collector.requests).toHaveLength(2)
        expect(stats).toMatchObject({ exported: 3, pending: 0 })
        expect([errors, drops]).toEqual([[], []])
      }))

    test.concurrent('B65: a caller whose deadline passed meanwhile gets the true state, and the export goes on unharmed', () =>
      withProgram(async (program) => {
        const held = heldRequest()
        program.collector.script(held)
        await program.tell({ do: 'end', count: 3 })
        const flushed = program.tell({ do: 'flush', timeoutMillis: 200 })
        const socket = await held.whenHeld
        await program.freeze()
        expect((await flushed).result).toMatchObject({ status: 'timeout', pending: 3, exported: 0 })
        answers(200).act(socket, undefined)
        const later = await program.tell({ do: 'flush', timeoutMillis: 5000 })
        expect(later.result?.status).toBe('success')
        expect(later.stats).toMatchObject({ ended: 3, exported: 3, pending: 0 })
        expect(program.collector.requests).toHaveLength(1)
        expect([later.errors, later.drops]).toEqual([[], []])
      }))

    test.concurrent('B65: a process that only gets a tenth of the CPU loses nothing and sends nothing twice', () =>
      withProgram(async (program) => {
        await program.tell({ do: 'end', count: 3 })
        const flushed = program.tell({ do: 'flush', timeoutMillis: 2 * THROTTLED_ATTEMPT_MILLIS })
        await program.throttle(flushed)
        const { result, stats, errors, drops } = await flushed
        expect(result).toMatchObject({ status: 'success', exported: 3 })
        expect(stats).toMatchObject({ ended: 3, exported: 3, pending: 0 })
        expect(program.deliveredSpans).toBe(3)
        expect([errors, drops]).toEqual([[], []])
      }, THROTTLED_ATTEMPT_MILLIS))
  })
}
