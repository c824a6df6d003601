/** Resources whose attributes are still on their way, where spans wait as objects. */
import type { Resource } from '../types.ts'

export class PendingResources {
  /** Those that had attributes pending when last looked at. */
  readonly #pending = new Set<Resource>()

  add(resource: Resource): void {
    if (isPending(resource)) this.#pending.add(resource)
  }

  /** Settles when none has attributes pending; `undefined` when none has now. Never rejects. */
  whenSettled(): Promise<void> | undefined {
    for (const resource of this.#pending) if (!isPending(resource)) this.#pending.delete(resource)
    if (this.#pending.size === 0) return undefined
    const waits = [...this.#pending].map(async (resource) => resource.waitForAsyncAttributes?.())
    return Promise.allSettled(waits).then(() => undefined)
  }
}

function isPending(resource: Resource | undefined): boolean {
  try {
    return resource?.asyncAttributesPending === true
  } catch {
    return false
  }
}
