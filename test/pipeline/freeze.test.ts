import { describeFreezing } from '../helpers/freeze-suite.ts'

describeFreezing(process.execPath)
