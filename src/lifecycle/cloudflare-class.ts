/** Classes whose objects are called by the runtime: Durable Objects, `WorkerEntrypoint`. */
import { Life } from './cloudflare-context.ts'
import { callHandler } from './cloudflare-invocation.ts'
import type { RequestTarget } from './cloudflare-target.ts'

// biome-ignore lint/suspicious/noExplicitAny: what TypeScript asks of a class that is extended
export type AnyClass = abstract new (...args: any[]) => object

type Method = (this: object, ...args: unknown[]) => unknown

/** Whether it has to be called with `new`. */
export function isClass(value: unknown): value is AnyClass {
  if (typeof value !== 'function' || typeof value.prototype !== 'object' || value.prototype === null)
    return false
  if (/^class\b/.test(Function.prototype.toString.call(value))) return true
  return (
    Object.getPrototypeOf(value) !== Function.prototype ||
    Object.getOwnPropertyNames(value.prototype).length > 1
  )
}

/**
 * The same class, with a flush after each call from outside: `fetch`, `alarm`, the handlers of hibernating WebSockets,
 * and whatever else its prototype has, all of which can be called by RPC.
 */
export function wrapClass<Class extends AnyClass>(Class: Class, target: RequestTarget): Class {
  const objects = new WeakMap<object, ObjectCalls>()
  const Base = Class as unknown as new (...args: unknown[]) => object
  class Wrapped extends Base {
    constructor(...args: unknown[]) {
      // Before the constructor of the program, which may call `waitUntil`.
      const life = Life.of(args[0])
      super(...args)
      objects.set(this, new ObjectCalls(target, life))
    }
  }
  for (const [name, method] of methodsOf(Class.prototype)) {
    const value: Method = function (...args) {
      const call = () => method.apply(this, args)
      // Its own constructor may call it, too.
      const calls = objects.get(this)
      return calls === undefined ? call() : calls.call(args[0], call)
    }
    Object.defineProperty(Wrapped.prototype, name, { value, configurable: true, writable: true })
  }
  Object.defineProperty(Wrapped, 'name', { value: Class.name, configurable: true })
  return Wrapped as unknown as Class
}

function methodsOf(prototype: object): Map<string, Method> {
  const methods = new Map<string, Method>()
  for (
    let owner = prototype;
    owner !== null && owner !== Object.prototype;
    owner = Object.getPrototypeOf(owner)
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (name !== 'constructor' && typeof value === 'function' && !methods.has(name))
        methods.set(name, value)
    }
  }
  return methods
}

/** The calls of one object. They share its life, so they share their flushes: one at a time, each for all who wait. */
class ObjectCalls {
  readonly #target: RequestTarget
  readonly #life: Life | undefined
  #depth = 0
  #running: Promise<unknown> = Promise.resolve()
  #next: Promise<unknown> | undefined

  constructor({ timeoutMillis, flush }: RequestTarget, life: Life | undefined) {
    this.#target = {
      timeoutMillis,
      flush: (millis, isLast) => this.#flush(() => flush(millis, isLast, life)),
    }
    this.#life = life
  }

  call(event: unknown, call: () => unknown): unknown {
    // Called from within another call, as far as that can be seen.
    if (this.#depth > 0 || this.#life === undefined) return call()
    const counted = () => {
      this.#depth++
      try {
        return call()
      } finally {
        this.#depth--
      }
    }
    return callHandler({ target: this.#target, life: this.#life, event }, counted)
  }

  #flush(flush: () => Promise<unknown>): Promise<unknown> {
    if (this.#next === undefined) {
      const next = this.#running.then(() => {
        this.#running = next
        this.#next = undefined
        return flush()
      })
      this.#next = next
    }
    return this.#next
  }
}
