/** How fast are spans made into a protobuf request, against `ProtobufTraceSerializer`? */
import { encodingLines, encodingTurns } from './harness/encoding.ts'
import type { Question } from './harness/question.ts'

export const question: Question = {
  name: 'encode-protobuf',
  title: 'encode spans to protobuf',
  turns: encodingTurns('protobuf'),
  ask: (bench) =>
    encodingLines(bench, [
      { label: '512 spans, realistic, warm', set: 'realistic', count: 512, required: 6, aim: 9 },
      { label: '512 spans, every value unique', set: 'unique-values', count: 512, required: 4.5, aim: 6 },
      { label: '512 spans, every key unique too', set: 'unique-keys', count: 512, required: 3, aim: 4 },
      { label: '4,096 spans, mixed, cold', set: 'mixed', count: 4096, required: 5, aim: 6.5 },
    ]),
}
