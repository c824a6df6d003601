import { test } from 'vitest'
import { expectAllWell } from './all-well.ts'
import { runSequences } from './property.ts'

test(
  'B19: whatever happens in whatever order, the processor does what the model allows and demands',
  {
    timeout: 300_000,
  },
  () => expectAllWell(5000, runSequences),
)
