/**
 * Answers that wait for an empty event loop: what the runtime client of Node.js up to 22 does with a callback's result,
 * unless `callbackWaitsForEmptyEventLoop` says otherwise, and for a handler that never answers.
 */

/** Where that runtime client keeps what it does on `beforeExit`. */
const BEFORE_EXIT = Symbol.for('aws.lambda.beforeExit')
const host = globalThis as { [BEFORE_EXIT]?: unknown }

/** How often it is looked whether nothing but an export of ours is left, in milliseconds. */
const LOOK_MILLIS = 10

/** What an export, standard output and standard error keep in the event loop, and how many of each. */
const EXPORT_RESOURCES: Readonly<Record<string, number>> = {
  TCPSocketWrap: 1,
  ConnectWrap: 1,
  GetAddrInfoReqWrap: 1,
  PipeWrap: 2,
  TTYWrap: 2,
}

/**
 * Waits with the answer that the runtime client gives when the event loop is empty.
 * @param before - Runs first, and need not be quick. It keeps the event loop alive.
 */
export function beforeEmptyLoopAnswer(before: (answer: () => void) => void): void {
  const answer = host[BEFORE_EXIT]
  if (typeof answer !== 'function') return
  host[BEFORE_EXIT] = () => {
    host[BEFORE_EXIT] = () => {}
    before(() => answer())
  }
}

/**
 * Sees to it that the answer which the runtime client now has does not wait for an export: it is given when nothing
 * else is left, since the backend may be dead.
 * @param isExporting - Whether an export may be under way.
 * @param answered - Called when the answer is given, or at once if this runtime client does not wait.
 */
export function answerOnEmptyLoop(isExporting: () => boolean, answered: () => void): void {
  const giveAnswer = host[BEFORE_EXIT]
  if (typeof giveAnswer !== 'function') {
    answered()
    return
  }
  const answer = () => {
    clearInterval(looking)
    host[BEFORE_EXIT] = () => {}
    giveAnswer()
    answered()
  }
  host[BEFORE_EXIT] = answer
  const looking = setInterval(() => {
    if (host[BEFORE_EXIT] !== answer) clearInterval(looking)
    else if (isExporting() && isNothingLeftButExports()) answer()
  }, LOOK_MILLIS).unref()
}

function isNothingLeftButExports(): boolean {
  const counts = new Map<string, number>()
  for (const resource of process.getActiveResourcesInfo()) {
    counts.set(resource, (counts.get(resource) ?? 0) + 1)
  }
  return [...counts].every(([resource, count]) => count <= (EXPORT_RESOURCES[resource] ?? 0))
}
