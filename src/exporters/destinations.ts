/** What exporters with several destinations have in common. */
import { show } from '../pipeline/report.ts'
import type { SpanExporter } from '../types.ts'

/**
 * @param caller - The function that was given them.
 * @throws TypeError that names the one that is no exporter.
 */
export function checkDestinations(caller: string, exporters: readonly SpanExporter[]): SpanExporter[] {
  if (!Array.isArray(exporters) || exporters.length === 0) {
    const shown = Array.isArray(exporters) ? 'an empty array' : show(exporters)
    throw new TypeError(`${caller}: exporters must be an array of exporters, not ${shown}`)
  }
  // Holes, too.
  return Array.from(exporters as SpanExporter[], (exporter, i) => {
    if (typeof exporter?.export !== 'function') {
      throw new TypeError(`${caller}: exporters[${i}] must be a SpanExporter, not ${show(exporter)}`)
    }
    const first = exporters.indexOf(exporter)
    if (first !== i) throw new TypeError(`${caller}: exporters[${i}] is exporters[${first}] again`)
    return exporter
  })
}

/** Settles when `work` has settled for all of them. Rejects with the first rejection, if there was one. */
export async function forAll(
  exporters: readonly SpanExporter[],
  work: (exporter: SpanExporter) => Promise<void> | undefined,
): Promise<void> {
  const ends = await Promise.allSettled(exporters.map(async (exporter) => work(exporter)))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
