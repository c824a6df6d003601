/** The commands of the model test. */
import fc from 'fast-check'
import { ENCODING_OUTCOMES, type OutcomeKind, type Reply, STOCK_OUTCOMES } from './collector.ts'
import { TIMER_GRAIN_MILLIS } from './expected-pace.ts'
import { commandsOf } from './sequences.ts'
import type { System } from './system.ts'

/** The kinds of commands, as the report names them. */
export const COMMANDS = [
  'end spans',
  'end unsampled',
  'end poison',
  'start span',
  'end open span',
  'advance',
  'advance to timer',
  'answer',
  'answer late',
  'collector behaves',
  'flush',
  'flush and wait',
  'flush at once',
  'abort',
  'freeze',
  'set wall clock',
  'shutdown',
  'shutdown again',
] as const

export type CommandKind = (typeof COMMANDS)[number]

export type SystemCommand = fc.AsyncCommand<System, System>

const command = commandsOf<System, CommandKind>(() => true)

const DELAYS = [1, 50, 100, 499, 500, 700, 999, 1000, 1001, 1500, 1999, 2000, 4999, 5000, 10_000, 30_000]
const TIMEOUTS = [1, 100, 500, 1000, 2000, 5000, 8000, 60_000]

const timeouts = fc.constantFrom(...TIMEOUTS)
const delays = fc.constantFrom(...DELAYS)
const retryAfters = fc.constantFrom(500, 1000, 3000, 20_000)

/** A kind for either exporter: the system takes the one that fits its own. */
const replies: fc.Arbitrary<{ encoding: Reply; stock: Reply }> = fc
  .record({
    encoding: fc.constantFrom<OutcomeKind>(
      'delivered',
      'delivered',
      'retryable',
      'retryable',
      ...ENCODING_OUTCOMES,
    ),
    stock: fc.constantFrom<OutcomeKind>('success', 'success', ...STOCK_OUTCOMES),
    rejected: fc.integer({ min: 1, max: 4 }),
    retryAfterMillis: retryAfters,
  })
  .map(({ encoding, stock, ...details }) => ({
    encoding: { kind: encoding, ...details },
    stock: { kind: stock, ...details },
  }))

function replyOf(reply: { encoding: Reply; stock: Reply }, system: System): Reply {
  return reply[system.settings.exporter]
}

/** An answer that is given later cannot be thrown. */
function answerOf(reply: { encoding: Reply; stock: Reply }, system: System): Reply {
  const chosen = replyOf(reply, system)
  return chosen.kind === 'throws' ? { ...chosen, kind: 'rejects' } : chosen
}

function show({ encoding, stock }: { encoding: Reply; stock: Reply }): string {
  const details = `${encoding.rejected} rejected, ${encoding.retryAfterMillis} ms`
  return `${encoding.kind} | ${stock.kind}; ${details}`
}

const weighted: [number, fc.Arbitrary<SystemCommand>][] = [
  [
    12,
    fc
      .record({
        count: fc.integer({ min: 1, max: 8 }),
        size: fc.constantFrom(10, 20, 61, 140, 420),
        isRoot: fc.boolean(),
      })
      .map(({ count, size, isRoot }) =>
        command('end spans', `${count} × ${size}${isRoot ? ', roots' : ''}`, (system) =>
          system.endSpans(count, size, { isRoot }),
        ),
      ),
  ],
  [1, fc.constant(command('end unsampled', '', (system) => system.endUnsampled()))],
  [1, fc.constant(command('end poison', '', (system) => system.endSpans(1, 20, { isPoison: true })))],
  [1, fc.constant(command('start span', '', (system) => system.startSpan()))],
  [
    1,
    fc.constant(
      command(
        'end open span',
        '',
        (system) => system.endOpenSpan(),
        (system) => system.openSpanIds.length > 0,
      ),
    ),
  ],
  [7, delays.map((millis) => command('advance', `${millis} ms`, (system) => system.advance(millis)))],
  [
    4,
    fc.boolean().map((stopsShort) =>
      command(
        'advance to timer',
        stopsShort ? '1 ms before' : '',
        (system) => system.advance(system.clock.nextDueAt! - system.clock.now - (stopsShort ? 1 : 0)),
        (system) => (system.clock.nextDueAt ?? 0) > system.clock.now,
      ),
    ),
  ],
  [
    10,
    replies.map((reply) =>
      command(
        'answer',
        show(reply),
        (system) => system.answer(answerOf(reply, system)),
        (system) => system.inFlight !== undefined,
      ),
    ),
  ],
  [
    3,
    replies.map((reply) =>
      command(
        'answer late',
        show(reply),
        (system) => system.answerLate(answerOf(reply, system)),
        (system) => system.leftBehind !== undefined,
      ),
    ),
  ],
  [
    4,
    fc
      .record({
        reply: fc.option(replies, { nil: undefined, freq: 2 }),
        latencyMillis: fc.constantFrom(-1, 0, 0, 1, 300, 1000, 6000),
        ignoresAbort: fc.boolean(),
      })
      .map(({ reply, latencyMillis, ignoresAbort }) =>
        command(
          'collector behaves',
          `${reply ? `${show(reply)}, after ${latencyMillis} ms` : 'waits'}${ignoresAbort ? ', ignores abort' : ''}`,
          (system) => {
            system.behaviour = { reply: reply && replyOf(reply, system), latencyMillis, ignoresAbort }
          },
        ),
      ),
  ],
  [4, timeouts.map((millis) => command('flush', `${millis} ms`, (system) => system.flush(millis)))],
  [
    2,
    timeouts.map((millis) =>
      command('flush and wait', `${millis} ms`, (system) => system.flush(millis, { waits: true })),
    ),
  ],
  [
    2,
    fc
      .boolean()
      .map((isAborted) =>
        command('flush at once', isAborted ? 'aborted' : '0 ms', (system) =>
          system.flush(isAborted ? 2000 : 0, { isAborted }),
        ),
      ),
  ],
  [
    2,
    fc.constant(
      command(
        'abort',
        '',
        (system) => system.abort(),
        (system) => system.openFlushes.length > 0,
      ),
    ),
  ],
  [
    3,
    fc
      // Not between 1,000 and 2,500 ms, where it depends on the phase of the ticks whether a freeze is noticed.
      .constantFrom(500, 900, 2500, 10_000, 100_000)
      .map((millis) =>
        command(
          'freeze',
          `${millis} ms`,
          (system) => system.freeze(millis),
          // Two short ones in a row are a long one.
          (system) => system.clock.now > system.thawedAt + TIMER_GRAIN_MILLIS,
        ),
      ),
  ],
  [
    1,
    fc
      .constantFrom(-3_600_000, 3_600_000)
      .map((millis) =>
        command('set wall clock', `${millis} ms`, (system) => system.clock.setWallClock(millis)),
      ),
  ],
  [
    1,
    fc.constantFrom(0, ...TIMEOUTS).map((millis) =>
      command(
        'shutdown',
        `${millis} ms`,
        (system) => system.shutdown(millis),
        // Rarely at the beginning: what follows is short of events.
        (system) => !system.model.isShutDown && system.commandCount >= 12,
      ),
    ),
  ],
  [
    2,
    fc.constantFrom(0, ...TIMEOUTS).map((millis) =>
      command(
        'shutdown again',
        `${millis} ms`,
        (system) => system.shutdown(millis),
        (system) => system.model.isShutDown,
      ),
    ),
  ],
]

const anyCommand = fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })))

/** Sequences of commands; half of them are longer than half of `maxCommands`. */
export function sequences(maxCommands: number, replayPath = ''): fc.Arbitrary<Iterable<SystemCommand>> {
  return fc.commands([anyCommand], { maxCommands, size: 'max', ...(replayPath !== '' && { replayPath }) })
}
