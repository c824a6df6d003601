/** How fast are spans made into a JSON request, against `JsonTraceSerializer`? */
import { encodingLines, encodingTurns } from './harness/encoding.ts'
import type { Question } from './harness/question.ts'

export const question: Question = {
  name: 'encode-json',
  title: 'encode spans to OTLP JSON',
  turns: encodingTurns('json'),
  ask: (bench) =>
    encodingLines(bench, [
      { label: '512 spans, realistic, warm', set: 'realistic', count: 512, required: 4, aim: 6 },
      { label: '512 spans, every value unique', set: 'unique-values', count: 512, required: 2.5, aim: 3.5 },
    ]),
}
