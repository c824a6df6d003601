import { readFileSync } from 'node:fs'

/** Linux counts CPU time in hundredths of a second. */
const TICK_MICROS = 10_000

/** CPU time that a process has taken so far, its threads included; NaN where the system does not say. */
export function cpuMicros(pid: number): number {
  if (process.platform !== 'linux') return Number.NaN
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  // https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: utime and stime, the 14th and 15th.
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS
}
