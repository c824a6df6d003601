/** Every question, in the order of the table. */
import { question as bundleSize } from './bundle-size.ts'
import { question as coldStart } from './cold-start.ts'
import { question as encodeJson } from './encode-json.ts'
import { question as encodeProfile } from './encode-profile.ts'
import { question as encodeProtobuf } from './encode-protobuf.ts'
import { question as fanOut } from './fan-out.ts'
import { question as flushBlock } from './flush-block.ts'
import { question as gc } from './gc.ts'
import type { Question } from './harness/question.ts'
import { question as hostileCardinality } from './hostile-cardinality.ts'
import { question as importTime } from './import-time.ts'
import { question as kafka } from './kafka.ts'
import { question as loopDelay } from './loop-delay.ts'
import { question as memory } from './memory.ts'
import { question as pipelineCpu } from './pipeline-cpu.ts'
import { question as pipelineHttp } from './pipeline-http.ts'
import { question as queueSize } from './queue-size.ts'
import { question as scaling } from './scaling.ts'
import { question as spoolCost } from './spool-cost.ts'
import { question as spoolExit } from './spool-exit.ts'
import { question as throughput } from './throughput.ts'
import { question as wireSize } from './wire-size.ts'

export const QUESTIONS: readonly Question[] = [
  encodeProtobuf,
  encodeProfile,
  encodeJson,
  pipelineCpu,
  pipelineHttp,
  gc,
  loopDelay,
  flushBlock,
  memory,
  throughput,
  importTime,
  coldStart,
  bundleSize,
  queueSize,
  scaling,
  hostileCardinality,
  spoolCost,
  spoolExit,
  fanOut,
  wireSize,
  kafka,
]
