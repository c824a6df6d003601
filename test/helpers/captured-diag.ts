import { DiagLogLevel, diag } from '@opentelemetry/api'
import { onTestFinished } from 'vitest'

/** Records what is logged through `diag` until the test ends: the texts of all levels, in order. */
export function captureDiag(): string[] {
  const lines: string[] = []
  const log = (...parts: unknown[]): void => void lines.push(parts.map(String).join(' '))
  diag.setLogger(
    { error: log, warn: log, info: log, debug: log, verbose: log },
    { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true },
  )
  lines.length = 0 // The API announces every logger.
  onTestFinished(() => diag.disable())
  return lines
}
