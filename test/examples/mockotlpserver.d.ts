/** As much of https://www.npmjs.com/package/@elastic/mockotlpserver as we use; it ships no types. */
declare module '@elastic/mockotlpserver' {
  export interface MockOtlpServerOptions {
    logLevel?: 'warn' | 'error' | 'fatal'
    services?: ('http' | 'grpc' | 'ui')[]
    httpHostname?: string
    /** 0 takes a free one. */
    httpPort?: number
    /** Called with each export request: what protobuf or JSON decoded to, to be read through `normalizeTrace`. */
    onTrace?: (request: unknown) => void
  }

  export class MockOtlpServer {
    constructor(options?: MockOtlpServerOptions)
    /** Known once started. */
    readonly httpUrl: URL
    start(): Promise<void>
    close(): Promise<void>
  }

  /** Attributes are plain objects; what is absent on the wire is absent here. */
  export interface NormalizedSpan {
    traceId: string
    spanId: string
    parentSpanId?: string
    flags?: number
    name: string
    kind: string
    startTimeUnixNano: string
    endTimeUnixNano: string
    attributes?: Record<string, unknown>
    events?: { name: string; timeUnixNano: string; attributes?: Record<string, unknown> }[]
    status?: { code?: string; message?: string }
  }

  export interface NormalizedTraceRequest {
    resourceSpans: {
      resource?: { attributes?: Record<string, unknown> }
      scopeSpans: { scope?: { name?: string; version?: string }; spans: NormalizedSpan[] }[]
    }[]
  }

  /** Ids in hexadecimal, enumerations by name, times in decimal, whether it came as protobuf or as JSON. */
  export function normalizeTrace(request: unknown): NormalizedTraceRequest
}
