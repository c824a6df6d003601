/** What does a span cost from `onEnd` to an encoded request, without a network? */
import type { Question } from './harness/question.ts'
import { measureSegments, segmentsLines } from './harness/segments.ts'

export const question: Question = {
  name: 'pipeline-cpu',
  title: 'CPU per span of the whole pipeline above a no-op processor, without a network',
  measure: measureSegments,
  ask: (bench) => segmentsLines(bench, { required: 5, aim: 7 }, 'encoding alone'),
}
