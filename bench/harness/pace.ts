/** Ends spans at a pace that no queue overflows. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Stream } from '../corpus/spans.ts'
import type { Pipeline } from './pipelines.ts'

/** Half of the queue's default size. */
const WAITING_MAX = 1024
/** Spans that end between two turns of the event loop. */
const SPANS_A_TURN = 64

/** Plays the stream until so many spans have ended and been delivered. */
export async function playPaced(stream: Stream, pipeline: Pipeline, total: number): Promise<void> {
  while (stream.count < total) {
    stream.playUntil(Math.min(total, stream.count + SPANS_A_TURN))
    await nextTurn()
    await pipeline.room(stream.count, WAITING_MAX)
  }
  await pipeline.flush(stream.count)
}
