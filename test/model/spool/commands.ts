/** The commands of the model test of the spool. */
import fc from 'fast-check'
import { commandsOf } from '../sequences.ts'
import { Inode } from './disk.ts'
import { ANSWERS, type SpoolWorld } from './world.ts'

/** The kinds of commands, as the report names them. */
export const COMMANDS = [
  'end spans',
  'flush',
  'advance',
  'advance to timer',
  'backend behaves',
  'disk fails',
  'disk is well',
  'crash',
  'crash at a call',
  'cut power',
  'exit',
  'start process',
  'shutdown',
  'replay',
  'foreign file',
  'set wall clock',
] as const

export type CommandKind = (typeof COMMANDS)[number]

export type SpoolCommand = fc.AsyncCommand<SpoolWorld, SpoolWorld>

const command = commandsOf<SpoolWorld, CommandKind>(({ living }) => living.length > 0)

const delays = fc.constantFrom(1, 50, 100, 500, 1000, 2000, 5000, 10_000, 30_000, 120_000)
const timeouts = fc.constantFrom(0, 1, 100, 500, 2000, 8000)
const picks = fc.nat({ max: 1 })

const weighted: [number, fc.Arbitrary<SpoolCommand>][] = [
  [
    10,
    fc
      .record({
        pick: picks,
        count: fc.integer({ min: 1, max: 10 }),
        size: fc.constantFrom(10, 60, 140),
        isRoot: fc.boolean(),
      })
      .map(({ pick, count, size, isRoot }) =>
        command('end spans', `${pick}: ${count} × ${size}`, (world) =>
          world.pick(pick).endSpans(count, size, isRoot),
        ),
      ),
  ],
  [
    7,
    fc
      .tuple(picks, timeouts)
      .map(([pick, millis]) =>
        command('flush', `${pick}: ${millis} ms`, (world) => void world.pick(pick).flush(millis)),
      ),
  ],
  [
    7,
    delays.map((millis) =>
      command(
        'advance',
        `${millis} ms`,
        (world) => world.advance(millis),
        () => true,
      ),
    ),
  ],
  [
    4,
    fc.constant(
      command(
        'advance to timer',
        '',
        (world) => world.advance(world.clock.nextDueAt! - world.clock.now),
        (world) => (world.clock.nextDueAt ?? 0) > world.clock.now,
      ),
    ),
  ],
  [
    6,
    fc
      .tuple(
        fc.constantFrom(...ANSWERS, 'unavailable', 'unavailable', 'delivered'),
        fc.constantFrom(0, 0, 300, 3000),
      )
      .map(([answer, millis]) =>
        command(
          'backend behaves',
          `${answer}, after ${millis} ms`,
          (world) => {
            world.answer = answer as SpoolWorld['answer']
            world.latencyMillis = millis
          },
          () => true,
        ),
      ),
  ],
  [
    1,
    fc
      .constantFrom(
        'full' as const,
        'read-only' as const,
        'cannot sync' as const,
        'cannot read' as const,
        'busy' as const,
      )
      .map((fault) =>
        command(
          'disk fails',
          fault,
          (world) => world.break(fault),
          () => true,
        ),
      ),
  ],
  [
    2,
    fc.constant(
      command(
        'disk is well',
        '',
        (world) => world.break(undefined),
        () => true,
      ),
    ),
  ],
  [1, picks.map((pick) => command('crash', `${pick}`, (world) => world.crash(world.pick(pick), 0)))],
  [
    2,
    fc
      .tuple(picks, fc.integer({ min: 1, max: 25 }))
      .map(([pick, calls]) =>
        command('crash at a call', `${pick}: ${calls}`, (world) => world.crash(world.pick(pick), calls)),
      ),
  ],
  [1, fc.constant(command('cut power', '', (world) => world.cutPower()))],
  [1, picks.map((pick) => command('exit', `${pick}`, (world) => world.exit(world.pick(pick))))],
  [
    6,
    fc.constant(
      command(
        'start process',
        '',
        (world) => world.startProcess(),
        ({ hasRoom }) => hasRoom,
      ),
    ),
  ],
  [
    1,
    fc
      .tuple(picks, timeouts)
      .map(([pick, millis]) =>
        command('shutdown', `${pick}: ${millis} ms`, (world) => world.shutdown(world.pick(pick), millis)),
      ),
  ],
  [
    3,
    fc
      .tuple(picks, timeouts)
      .map(([pick, millis]) =>
        command('replay', `${pick}: ${millis} ms`, (world) => void world.pick(pick).replay(millis)),
      ),
  ],
  [
    1,
    fc.boolean().map((isTorn) =>
      command(
        'foreign file',
        isTorn ? 'torn' : 'of somebody else',
        (world) => {
          const inode = new Inode()
          inode.data = Buffer.from('no request at all')
          inode.isSynced = true
          const name = isTorn ? `${Date.now()}-${'0'.repeat(15)}1.otlp.pb` : 'notes.txt'
          world.disk.files.set(name, inode)
          if (isTorn) world.files.appeared(inode)
        },
        () => true,
      ),
    ),
  ],
  [
    1,
    fc.constantFrom(-30_000, 30_000).map((millis) =>
      command(
        'set wall clock',
        `${millis} ms`,
        (world) => world.clock.setWallClock(millis),
        () => true,
      ),
    ),
  ],
]

const anyCommand = fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })))

/** Sequences of commands. */
export function spoolSequences(maxCommands: number, replayPath = ''): fc.Arbitrary<Iterable<SpoolCommand>> {
  return fc.commands([anyCommand], { maxCommands, size: 'max', ...(replayPath !== '' && { replayPath }) })
}
