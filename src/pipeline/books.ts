import type { Spiller } from '../spill.ts'
import type { Ledger } from './ledger.ts'
import type { SdkMetrics } from './metrics.ts'
import type { Pace } from './pace.ts'
import type { Reporter } from './report.ts'
import type { SizeLimit } from './size-limit.ts'

/** Where outcomes are written down. */
export interface LeaseBooks {
  readonly ledger: Ledger
  readonly pace: Pace
  readonly sizeLimit: SizeLimit
  readonly reporter: Reporter
  readonly metrics: SdkMetrics | undefined
  /** Keeps what cannot be sent in time, where the exporter has something to keep it in. */
  readonly spiller?: Spiller | undefined
}
