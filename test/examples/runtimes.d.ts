/** As much of Bun and Deno as the examples use: neither is installed at the top. */
declare module 'bun' {
  export function serve(options: {
    port?: string | number | undefined
    fetch(request: Request): Response | Promise<Response>
  }): { stop(): Promise<void> }
}

declare const Deno: {
  serve(
    options: { port?: number },
    handler: (request: Request) => Response | Promise<Response>,
  ): { shutdown(): Promise<void> }
}
