/** Cluster: the primary waits for its workers, and a worker whose primary died is not taken by surprise. */
import type { Cluster, Worker } from 'node:cluster'
import { createRequire } from 'node:module'
import { warn } from './checks.ts'
import { type FlushStatus, within } from './target.ts'

/**
 * Not by `import`: it has only a default export everywhere, for which the CommonJS build needs a helper, and the bundler
 * puts that where the root entry has to load this file for it.
 */
function loadCluster(): Cluster {
  return createRequire(process.execPath)('node:cluster') as Cluster
}

/** Passes the signal on to the workers, if this is their primary, and waits until they are gone. Never rejects. */
export function endClusterWorkers(signal: NodeJS.Signals, timeoutMillis: number): Promise<FlushStatus> {
  const living = Object.values(loadCluster().workers ?? {}).filter((worker) => worker !== undefined)
  return within(
    timeoutMillis,
    () => Promise.all(living.map((worker) => endOf(worker, signal))),
    (problem) => warn(`ending the workers of the cluster ${problem}`),
  )
}

function endOf(worker: Worker, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (worker.isDead()) return resolve()
    worker.once('exit', () => resolve())
    worker.process.kill(signal)
  })
}

/**
 * Calls `onOrphaned` when the primary is gone, just before Node ends the worker for that with `process.exit(0)`.
 * @returns Stops it.
 */
export function onPrimaryGone(onOrphaned: () => void): () => void {
  const { worker } = loadCluster()
  if (worker === undefined) return () => {}
  const listener = () => {
    if (!worker.exitedAfterDisconnect) onOrphaned()
  }
  process.prependListener('disconnect', listener)
  return () => void process.off('disconnect', listener)
}
