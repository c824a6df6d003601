/** The preload as `require` loads it, which cannot await: see lambda-extension.ts. */
import { extension, registerExtensionNow } from './lambda-internal-extension.ts'

registerExtensionNow()

/** Whether Lambda has accepted the extension. */
export const isRegistered: boolean = extension()?.isRegistered ?? false
