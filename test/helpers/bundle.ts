/** Programs for child processes, bundled from the sources, so that they start at once and on any version of Node. */
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/tailrace', import.meta.url))

/** The entries that are not the root. */
const SUBPATHS = ['express', 'fastify', 'hono', 'koa', 'node']

/**
 * Bundles a program under `test/programs`; packages stay outside.
 * @param directory - Where the bundle goes, and where the packages are looked for.
 * @returns The path of the bundle, one for each process that asks.
 */
export async function bundleProgram(program: string, directory = CACHE): Promise<string> {
  await mkdir(directory, { recursive: true })
  const outfile = join(directory, `${basename(program, '.ts')}-${process.pid}.mjs`)
  await build({
    entryPoints: [fileURLToPath(new URL(`../programs/${program}`, import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    // A program may import something for what it does.
    ignoreAnnotations: true,
    // `packages` would leave these outside as well.
    alias: {
      ...Object.fromEntries(
        SUBPATHS.map((name) => [
          `tailrace/${name}`,
          fileURLToPath(new URL(`../../src/lifecycle/${name}.ts`, import.meta.url)),
        ]),
      ),
      'tailrace/fan-out': fileURLToPath(new URL('../../src/fan-out.ts', import.meta.url)),
      'tailrace/spool': fileURLToPath(new URL('../../src/spool.ts', import.meta.url)),
      tailrace: fileURLToPath(new URL('../../src/index.ts', import.meta.url)),
      '#transport': fileURLToPath(new URL('../../src/transport/node-http.ts', import.meta.url)),
    },
    // The nearest tsconfig.json has paths that lead to types.
    tsconfigRaw: '{}',
    logLevel: 'warning',
  })
  return outfile
}
