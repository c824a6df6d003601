/** The property: whatever happens to processes, disk and backend, what was reported as spooled is not lost. */
import { type ModelRun, type Replay, runModel } from '../sequences.ts'
import { COMMANDS, spoolSequences } from './commands.ts'
import { type SpoolSettings, spoolSettings } from './settings.ts'
import { type Divert, SEEN, SpoolWorld } from './world.ts'

const MAX_COMMANDS = 90

/** Runs `count` sequences; the same seed gives the same ones. */
export function runSpoolSequences(
  seed: number,
  count: number,
  divert: Divert,
  replay: Replay = {},
): Promise<ModelRun> {
  const test = {
    plan: { outcomes: { spool: SEEN }, commands: COMMANDS },
    settings: spoolSettings,
    sequences: spoolSequences(MAX_COMMANDS, replay.replayPath),
    open: (settings: SpoolSettings) => new SpoolWorld(settings, divert),
    seen: ({ lastSeen }: SpoolWorld) => ['spool', lastSeen] as const,
  }
  return runModel(test, seed, count, replay)
}
