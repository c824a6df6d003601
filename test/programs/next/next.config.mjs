import { fileURLToPath } from 'node:url'

/** The folder above has the packages; without a root Next.js looks for lock files further up. */
export default { turbopack: { root: fileURLToPath(new URL('..', import.meta.url)) } }
