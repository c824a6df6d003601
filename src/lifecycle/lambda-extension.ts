/**
 * The preload: importing it registers the internal extension that `mode: 'after-response'` needs, and is over when
 * Lambda has answered. Does nothing outside a Lambda runtime.
 *
 *     NODE_OPTIONS=--import=tailrace/lambda/extension
 *
 * or `--import=` and the path of this file in a layer. `require('tailrace/lambda/extension')` does the same.
 */
import { registerExtension } from './lambda-internal-extension.ts'

/** Whether Lambda has accepted the extension. */
export const isRegistered: boolean = await registerExtension()
