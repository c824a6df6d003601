/** The side of an exporter of ours that the processor sees. */
import type { OTLPTraceExporter } from 'tailrace'
import type { EncodingExporter, PipelineExporter } from '../../src/types.ts'

/** By which the processor asks an exporter for its encoded side. */
export const pipelineExporter = 'tailrace.pipelineExporter'

/** The encoded side of an exporter of ours. */
export function encodedSide(exporter: OTLPTraceExporter): PipelineExporter {
  const side = (exporter as unknown as EncodingExporter)[pipelineExporter]()
  if (!side) throw new Error('the exporter has no encoded side')
  return side
}
