/** What the drains of one processor share. */
import type { Sender } from '../types.ts'
import type { Backlog } from './backlog.ts'
import type { LeaseBooks } from './books.ts'
import type { DrainOptions } from './drain.ts'
import type { Lease } from './lease.ts'
import type { Turns } from './pulse.ts'
import type { ResourcePatience } from './resource-patience.ts'

/** What the drains of one processor have in common: data, and nothing that belongs to a request. */
export interface SharedState<Payload, Drain> {
  readonly backlog: Backlog<Payload>
  readonly sender: Sender<Payload>
  readonly books: LeaseBooks
  readonly options: DrainOptions
  /** Those that have a batch out. */
  readonly active: Set<Drain>
  /** Shutdowns that have not settled. */
  readonly shutdowns: Set<Drain>
  isClosed: boolean
  readonly turns: Turns
  readonly resourcePatience: ResourcePatience
  /** The exporter's own flush did not end in time, perhaps because it waits for a request that has died. */
  exporterHangs: boolean
}

/** What is not settled, found by walking leases and backlog. */
export function pendingThrough<Payload>(
  { active, backlog }: SharedState<Payload, { lease: Lease<Payload> }>,
  sequence: number,
): number {
  let count = backlog.countThrough(sequence)
  for (const { lease } of active) count += lease.countThrough(sequence)
  return count
}
