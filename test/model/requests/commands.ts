/** The commands of the model test of requests. */
import fc from 'fast-check'
import { ENCODING_OUTCOMES, type OutcomeKind, type Reply } from '../collector.ts'
import { TIMER_GRAIN_MILLIS } from '../expected-pace.ts'
import { commandsOf } from '../sequences.ts'
import { type Settings, settings } from '../settings.ts'
import type { SimulatedRequest } from './request.ts'
import type { World } from './world.ts'

/** The kinds of commands, as the report names them. */
export const COMMANDS = [
  'begin request',
  'end spans',
  'end spans outside',
  'end bad span',
  'flush',
  'last flush',
  'flush at once',
  'abort',
  'cancel',
  'advance',
  'advance to timer',
  'answer',
  'collector behaves',
  'freeze',
] as const

export type CommandKind = (typeof COMMANDS)[number]

export type WorldCommand = fc.AsyncCommand<World, World>

const command = commandsOf<World, CommandKind>(() => true)

const timeouts = fc.constantFrom(1, 100, 500, 1000, 2000, 5000, 20_000, 60_000)
const delays = fc.constantFrom(1, 5, 50, 250, 500, 1000, 2000, 3000, 5000, 8000, 30_000)
const sizes = fc.constantFrom(10, 20, 61, 140, 420)
/** Which of those there are. */
const picks = fc.nat({ max: 3 })

const replies: fc.Arbitrary<Reply> = fc.record({
  kind: fc.constantFrom<OutcomeKind>(
    'delivered',
    'delivered',
    'retryable',
    'retryable',
    ...ENCODING_OUTCOMES.filter((kind) => kind !== 'throws'),
  ),
  rejected: fc.integer({ min: 1, max: 4 }),
  retryAfterMillis: fc.constantFrom(500, 1000, 3000, 20_000),
})

function pick<Item>(items: readonly Item[], index: number): Item {
  return items[index % items.length] as Item
}

/** A command in one of the requests that live. */
function inRequest<Details>(
  kind: CommandKind,
  details: fc.Arbitrary<Details>,
  show: (details: Details) => string,
  run: (world: World, request: SimulatedRequest, details: Details) => unknown,
): fc.Arbitrary<WorldCommand> {
  return fc.record({ index: picks, details }).map(({ index, details }) =>
    command(
      kind,
      [`request ${index}`, show(details)].filter((text) => text !== '').join(': '),
      (world) => run(world, pick(world.live, index), details),
      (world) => world.live.length > 0,
    ),
  )
}

const millis = (value: number) => `${value} ms`
const manySpans = fc.record({ count: fc.integer({ min: 1, max: 8 }), size: sizes })

const weighted: [number, fc.Arbitrary<WorldCommand>][] = [
  [
    6,
    fc.constant(
      command(
        'begin request',
        '',
        (world) => world.beginRequest(),
        (world) => world.hasRoom,
      ),
    ),
  ],
  [
    9,
    inRequest(
      'end spans',
      manySpans,
      ({ count, size }) => `${count} × ${size}`,
      (world, request, { count, size }) => world.endSpans(request, count, size),
    ),
  ],
  [
    3,
    manySpans.map(({ count, size }) =>
      command('end spans outside', `${count} × ${size}`, (world) => world.endSpans(undefined, count, size)),
    ),
  ],
  [
    1,
    inRequest(
      'end bad span',
      fc.constant(20),
      () => '',
      (world, request, size) => world.endSpans(request, 1, size, true),
    ),
  ],
  [8, inRequest('flush', timeouts, millis, (world, request, timeout) => world.flush(request, timeout))],
  [
    3,
    inRequest('last flush', timeouts, millis, (world, request, timeout) =>
      world.flush(request, timeout, { isLast: true }),
    ),
  ],
  [
    2,
    inRequest(
      'flush at once',
      fc.boolean(),
      (isAborted) => (isAborted ? 'aborted' : '0 ms'),
      (world, request, isAborted) => world.flush(request, isAborted ? 2000 : 0, { isAborted }),
    ),
  ],
  [
    2,
    fc.constant(
      command(
        'abort',
        '',
        (world) => world.abort(),
        (world) => world.abortable.length > 0,
      ),
    ),
  ],
  [
    4,
    inRequest(
      'cancel',
      fc.constant(undefined),
      () => '',
      (world, request) => world.cancel(request),
    ),
  ],
  [8, delays.map((delay) => command('advance', millis(delay), (world) => world.advance(delay)))],
  [
    3,
    fc.boolean().map((stopsShort) =>
      command(
        'advance to timer',
        stopsShort ? '1 ms before' : '',
        (world) => world.advance((world.clock.nextDueAt ?? 0) - world.clock.now - (stopsShort ? 1 : 0)),
        (world) => (world.clock.nextDueAt ?? 0) > world.clock.now,
      ),
    ),
  ],
  [
    10,
    fc.record({ index: picks, reply: replies }).map(({ index, reply }) =>
      command(
        'answer',
        `${index}: ${showReply(reply)}`,
        (world) => world.answer(pick(world.answerable, index), reply),
        (world) => world.answerable.length > 0,
      ),
    ),
  ],
  [
    4,
    fc
      .record({
        reply: fc.option(replies, { nil: undefined, freq: 2 }),
        latencyMillis: fc.constantFrom(0, 0, 1, 300, 1000, 6000),
      })
      .map(({ reply, latencyMillis }) =>
        command(
          'collector behaves',
          reply ? `${showReply(reply)}, after ${latencyMillis} ms` : 'hangs',
          (world) => {
            world.behaviour = { reply, latencyMillis }
          },
        ),
      ),
  ],
  [
    2,
    fc
      // Not between 1,000 and 2,500 ms, where it depends on the phase of the ticks whether a freeze is noticed.
      .constantFrom(500, 900, 2500, 10_000, 100_000)
      .map((length) =>
        command(
          'freeze',
          millis(length),
          (world) => world.freeze(length),
          // Two short ones in a row are a long one.
          (world) => world.clock.now > world.thawedAt + TIMER_GRAIN_MILLIS,
        ),
      ),
  ],
]

function showReply({ kind, rejected, retryAfterMillis }: Reply): string {
  return `${kind}; ${rejected} rejected, ${retryAfterMillis} ms`
}

const anyCommand = fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })))

/** Sequences of commands; half of them are longer than half of `maxCommands`. */
export function requestSequences(maxCommands: number, replayPath = ''): fc.Arbitrary<Iterable<WorldCommand>> {
  return fc.commands([anyCommand], { maxCommands, size: 'max', ...(replayPath !== '' && { replayPath }) })
}

/** As on Workers: one of our own exporters, timers that are numbers, no schedule. */
export const requestSettings: fc.Arbitrary<Settings> = settings.map((settings) => ({
  ...settings,
  exporter: 'encoding',
  encodeAt: 'end',
  hasNumericTimers: true,
  flushOnRootEnd: false,
  forceFlush: settings.forceFlush === 'hangs' ? 'absent' : settings.forceFlush,
  shutdown: settings.shutdown === 'hangs' ? 'resolves' : settings.shutdown,
}))
