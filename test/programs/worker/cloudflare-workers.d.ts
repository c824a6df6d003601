/** As much of the runtime's own module as the programs use. */
declare module 'cloudflare:workers' {
  export interface Context {
    waitUntil(promise: Promise<unknown>): void
    readonly storage?: {
      setAlarm(time: number): Promise<void>
    }
    acceptWebSocket?(socket: WebSocket): void
  }
  export abstract class DurableObject<Env = unknown> {
    constructor(ctx: Context, env: Env)
    protected readonly ctx: Context
    protected readonly env: Env
  }
  export abstract class WorkflowEntrypoint<Env = unknown> {
    constructor(ctx: Context, env: Env)
    protected readonly ctx: Context
    protected readonly env: Env
  }
  export abstract class WorkerEntrypoint<Env = unknown> {
    constructor(ctx: Context, env: Env)
    protected readonly ctx: Context
    protected readonly env: Env
  }
}
