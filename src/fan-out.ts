/** Several destinations behind one processor: all of them (`fanOut`), or the first that answers (`failover`). */
export { type FailoverOptions, failover } from './exporters/failover.ts'
export { fanOut } from './exporters/fan-out.ts'
