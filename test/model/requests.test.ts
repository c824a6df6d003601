import { test } from 'vitest'
import { expectAllWell } from './all-well.ts'
import { runRequestSequences } from './requests/property.ts'

test(
  'B38, B51, B58: requests that share a processor, and die, strand nothing and hold nobody up',
  {
    timeout: 300_000,
  },
  () => expectAllWell(1000, runRequestSequences),
)
