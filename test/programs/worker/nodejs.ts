/** The worker with a context manager, which needs `nodejs_compat`. */
import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

export * from './worker.ts'
export { default } from './worker.ts'
