/** A context like the one that AWS Lambda gives a handler. */

/** How the fake function is configured. */
export interface LambdaContextOptions {
  /** The function's timeout, in milliseconds. Default 3000, as in Lambda. */
  readonly timeoutMillis?: number
  readonly functionName?: string
  readonly memoryLimitInMB?: string
  /** Default: a random one. */
  readonly awsRequestId?: string
}

/** The fields and methods that Lambda's Node.js runtime has. */
export interface FakeLambdaContext {
  callbackWaitsForEmptyEventLoop: boolean
  readonly functionName: string
  readonly functionVersion: string
  readonly invokedFunctionArn: string
  readonly memoryLimitInMB: string
  readonly awsRequestId: string
  readonly logGroupName: string
  readonly logStreamName: string
  /** Milliseconds until the function's own timeout; 0 when it has come. */
  getRemainingTimeInMillis(): number
}

/**
 * Makes the context of one invocation that begins now. Its clock is `performance.now()`, so fake timers move it.
 *
 * @throws RangeError when `timeoutMillis` is not from 1 to 900,000, as Lambda has it.
 *
 * @example
 * ```ts
 * import { fakeLambdaContext } from 'tailrace/testing'
 *
 * const context = fakeLambdaContext({ timeoutMillis: 500 })
 * context.getRemainingTimeInMillis() // 500, and falling
 * ```
 * @see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html
 */
export function fakeLambdaContext(options: LambdaContextOptions = {}): FakeLambdaContext {
  const {
    timeoutMillis = 3000,
    functionName = 'test',
    memoryLimitInMB = '128',
    awsRequestId = crypto.randomUUID(),
  } = options
  if (!(timeoutMillis >= 1 && timeoutMillis <= 900_000)) {
    throw new RangeError(`fakeLambdaContext: timeoutMillis must be from 1 to 900000, not ${timeoutMillis}`)
  }
  const deadline = performance.now() + timeoutMillis
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:eu-central-1:123456789012:function:${functionName}`,
    memoryLimitInMB,
    awsRequestId,
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: '2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef',
    getRemainingTimeInMillis: () => Math.max(0, Math.floor(deadline - performance.now())),
  }
}
