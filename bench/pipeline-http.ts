/** The same over real HTTP, to a receiver in another process that decodes and counts every span. */
import type { Question } from './harness/question.ts'
import { measureSegments, segmentsLines } from './harness/segments.ts'

export const question: Question = {
  name: 'pipeline-http',
  title:
    'CPU per span of the whole pipeline above a no-op processor, over HTTP, every span decoded elsewhere',
  measure: measureSegments,
  ask: (bench) => segmentsLines(bench, { required: 3.5, aim: 4.5 }, 'floor', 'decode'),
}
