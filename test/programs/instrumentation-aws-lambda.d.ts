/** As much of it as we use; its own types are installed in the fixture only. */
declare module '@opentelemetry/instrumentation-aws-lambda' {
  import { InstrumentationBase } from '@opentelemetry/instrumentation'

  export class AwsLambdaInstrumentation extends InstrumentationBase {
    constructor()
    protected init(): undefined
  }
}
