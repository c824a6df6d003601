/** npm as it is on a machine where nobody has configured it: what a user has set must not decide what installs. */
import { execFileSync } from 'node:child_process'
import { devNull } from 'node:os'

/** How npm gets to its registry, which the machine may need: https://docs.npmjs.com/cli/using-npm/config */
const WAY_TO_REGISTRY = ['registry', 'cache', 'cafile', 'proxy', 'https-proxy', 'noproxy', 'strict-ssl']

/**
 * An environment without the configuration of the user, of the machine, and of the `npm run` that we may be within. A
 * registry that wants a login is none that it can use.
 */
export function plainNpm(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const configured = npmConfig(environment)
  const kept = WAY_TO_REGISTRY.filter((key) => (configured[key] ?? '') !== '')
  return {
    ...Object.fromEntries(Object.entries(environment).filter(([name]) => !/^npm_/i.test(name))),
    ...Object.fromEntries(
      kept.map((key) => [`npm_config_${key.replaceAll('-', '_')}`, String(configured[key])]),
    ),
    // npm wants two different ones; neither exists.
    npm_config_userconfig: `${devNull}/user`,
    npm_config_globalconfig: `${devNull}/global`,
  }
}

/** All that npm would go by. */
export function npmConfig(env: NodeJS.ProcessEnv): Record<string, unknown> {
  const list = execFileSync('npm', ['config', 'list', '--json', '--loglevel=silent'], {
    env,
    encoding: 'utf8',
  })
  return JSON.parse(list) as Record<string, unknown>
}
