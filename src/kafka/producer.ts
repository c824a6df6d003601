/** What clients of Kafka have in common, and what their errors say. */

/** A message as clients take it. The topic stands in it as well, for `@platformatic/kafka`. */
export interface KafkaMessage {
  topic: string
  /** The trace id in hexadecimal digits, with `partitionByTraceId`. */
  key?: Buffer
  value: Buffer
}

/** What a client's `send` is given. */
export interface KafkaRecord {
  topic: string
  messages: KafkaMessage[]
  acks?: number
  // Whatever the client has for it: a number in kafkajs, a string in @platformatic/kafka.
  // biome-ignore lint/suspicious/noExplicitAny: no type of ours would take both
  compression?: any
}

/** A producer: `kafka.producer()` of kafkajs, `new Producer()` of `@platformatic/kafka`, or anything alike. */
export interface KafkaProducer {
  send(record: KafkaRecord): Promise<unknown>
}

/** https://kafka.apache.org/protocol#protocol_error_codes, by name and by number. */
const TOO_LARGE = new Set<unknown>(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 10, 18])

/** An error within errors is not looked for any deeper. */
const MAX_DEPTH = 5

/** Whether the broker finds the messages too large. kafkajs says so in `type`, `@platformatic/kafka` in `apiId`. */
export function isTooLarge(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > MAX_DEPTH) return false
  const { type, apiId, apiCode, code, cause, errors } = error as Record<string, unknown>
  if ([type, apiId, apiCode, code].some((each) => TOO_LARGE.has(each))) return true
  const inner = Array.isArray(errors) ? [cause, ...errors] : [cause]
  return inner.some((each) => isTooLarge(each, depth + 1))
}
