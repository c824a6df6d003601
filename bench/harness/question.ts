/** What a bench asks, and what it finds. */
import { median } from './statistics.ts'

/** What is measured of each process: numbers by name. */
export type Sample = Record<string, number>

/** One round: every variant once, each in a process of its own. */
export type Round = Record<string, Sample>

/** What a measuring process is told, besides its variant. */
export type Settings = Record<string, string | number>

/** What a measuring process does. */
export type Measure = (variant: string, settings: Settings) => Promise<Sample>

/** Makes a measuring process ready and returns what it does when it is its turn: it answers a cost. */
export type StartTurns = (variant: string, settings: Settings) => Promise<() => number | Promise<number>>

/** One round of processes that took turns: the costs of each variant, turn by turn. */
export type Turns = Readonly<Record<string, readonly number[]>>

/** What is to be reached. */
interface Goal {
  readonly required: number
  readonly aim?: number
  readonly sense: 'at least' | 'at most'
}

/** A line of the table: what was measured in each round, and the figure that it comes to. */
export interface Line {
  readonly label: string
  readonly unit: string
  /** By variant, one number a round. */
  readonly samples: Readonly<Record<string, readonly number[]>>
  /** One a round. */
  readonly figures: readonly number[]
  readonly figureUnit: '×' | '%' | 'B' | 'KB' | 'KiB' | 'ms' | 'MB'
  /** What the figure would be at the floor, once a round: how far it could come at best. */
  readonly atFloor?: readonly number[]
  readonly goal?: Goal
  /** The figure says how many times better than the stock SDK: drawn in the chart, and guarded by `--quick`. */
  readonly isRatioToStock: boolean
}

/** How a measuring process is started. */
export interface RoundOptions {
  readonly settings?: Settings
  /** A receiver runs beside, and must have got what the process says it delivered: `settings.url` says where. */
  readonly receiver?: 'decode' | 'count'
  /** The program, if it is not the question's `measure`. */
  readonly program?: string
  readonly nodeOptions?: string[]
  /** Default: the harness's. */
  readonly rounds?: number
}

/** How processes that take turns are started. */
export type TurnOptions = Pick<RoundOptions, 'settings' | 'nodeOptions'>

/** What a question gets to measure with. */
export interface Bench {
  readonly isQuick: boolean
  /** The major version of Node that measures. */
  readonly nodeMajor: number
  /** Where the peers and tailrace are installed. */
  readonly fixture: string
  /** The name of the stock SDK's package. */
  readonly sdk: string
  /** Runs every variant once a round, each in a fresh process, in alternating order. */
  rounds(variants: readonly string[], options?: RoundOptions): Promise<Round[]>
  /** The same, but the processes of a round run side by side and take turns. */
  turns(variants: readonly string[], count: number, options?: TurnOptions): Promise<Turns[]>
}

export interface Question {
  /** The name of its file. */
  readonly name: string
  readonly title: string
  /** What its processes do, unless they run another program. */
  readonly measure?: Measure
  /** What they do instead, if they take turns. */
  readonly turns?: StartTurns
  /** What the machine lacks for it. A question that may lack something is asked by its name only. */
  whatIsMissing?(): Promise<string | undefined>
  ask(bench: Bench): Promise<Line[]>
}

/** The numbers of one variant. */
export function column(rounds: readonly Round[], variant: string, name: string): number[] {
  return rounds.map((round) => round[variant]?.[name] ?? Number.NaN)
}

/** How many times as much one variant costs as another: the median over their turns. */
export function ratioOf(turns: Turns, variant: string, other: string): number {
  return median(turns[variant].map((cost, i) => cost / turns[other][i]))
}

/**
 * How many times less than the stock SDK tailrace takes, in each round.
 * @param floors - Rounds of the variant `floor`, if the question has one.
 */
export function ratioLine(
  label: string,
  unit: string,
  rounds: readonly Round[],
  name: string,
  goal?: { required: number; aim?: number },
  floors: readonly Round[] = [],
): Line {
  const stock = column(rounds, 'stock', name)
  const tailrace = column(rounds, 'tailrace', name)
  const floor = column(floors, 'floor', name)
  return {
    label,
    unit,
    samples: { stock, tailrace, ...(floors.length > 0 && { floor }) },
    figures: stock.map((value, i) => value / (tailrace[i] as number)),
    ...(floors.length > 0 && { atFloor: stock.map((value, i) => value / (floor[i] as number)) }),
    figureUnit: '×',
    ...(goal && { goal: { ...goal, sense: 'at least' } }),
    isRatioToStock: true,
  }
}
