import { type Context, type ContextManager, context, ROOT_CONTEXT } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { onTestFinished } from 'vitest'

/** As the web SDK's `StackContextManager`: a context lasts until the function returns, not for what it awaits. */
export class SynchronousContextManager implements ContextManager {
  #active: Context = ROOT_CONTEXT

  active(): Context {
    return this.#active
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    const previous = this.#active
    this.#active = active
    try {
      return fn.call(thisArg as never, ...args)
    } finally {
      this.#active = previous
    }
  }

  bind<T>(_context: Context, target: T): T {
    return target
  }

  enable(): this {
    return this
  }

  disable(): this {
    return this
  }
}

/** For `describe.each`. */
export const CONTEXT_MANAGERS: [string, () => ContextManager][] = [
  ['AsyncLocalStorage', () => new AsyncLocalStorageContextManager()],
  ['a synchronous context manager', () => new SynchronousContextManager()],
]

/** Installs a context manager until the test ends. */
export function useContextManager(manager: ContextManager): void {
  context.setGlobalContextManager(manager.enable())
  onTestFinished(() => context.disable())
}
