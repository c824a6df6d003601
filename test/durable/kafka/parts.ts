/** Apache Kafka from Maven Central, and a Collector that reads from it: built once, into the cache folder. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder, go, program, type Recipe, shortHash, whatIsMissing } from '../../interop/recipes.ts'

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** A file of this folder. */
export const read = (name: string) => readFileSync(here(name), 'utf8')

/** The clients, where `npm ci` puts them. */
export const clients = fileURLToPath(new URL('../fixtures/kafka/', import.meta.url))

/** Kafka's jars. */
export const jars = join(cacheFolder(), `kafka-${shortHash(read('pom.xml'))}`)

/** 0.159 of the receiver is not in Go's module proxy. */
const BUILDER = 'go.opentelemetry.io/collector/cmd/builder@v0.159.0'

export const kafkaCollector: Recipe = {
  name: 'OpenTelemetry Collector 0.158.0 with its Kafka receiver',
  binary: join(
    cacheFolder(),
    `kafka-collector-${shortHash(BUILDER, read('builder.yaml'))}`,
    program('collector'),
  ),
  build(folder) {
    cpSync(here('builder.yaml'), join(folder, 'builder.yaml'))
    go(['run', BUILDER, '--skip-strict-versioning', '--config', 'builder.yaml'], folder)
    return join(folder, 'sources', program('collector'))
  },
}

/** Has npm install the clients, and Maven fetch Kafka, where they are not yet. @throws if that fails. */
export function prepareKafka(): void {
  if (!existsSync(join(clients, 'node_modules'))) installClients()
  fetchKafka()
}

/** Has Maven fetch Kafka and what it needs. @throws if that fails. */
export function fetchKafka(): void {
  if (existsSync(jars)) return
  const folder = `${jars}.new`
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${folder}`]
  execFileSync('mvn', ['-q', '-B', '-f', here('pom.xml'), ...goal], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  renameSync(folder, jars)
}

/** Has npm install the clients. @throws if that fails. */
export function installClients(): void {
  execFileSync('npm', ['ci', '--prefix', clients, '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** What this machine lacks for running brokers; undefined if nothing. */
export function whatBrokersLack(): string | undefined {
  const { status, stderr } = spawnSync('java', ['-version'], { encoding: 'utf8' })
  const [major = 0] = (/version "(\d+)/.exec(stderr ?? '')?.slice(1) ?? []).map(Number)
  if (status !== 0 || major < 17) return 'Java 17 or newer'
  return !existsSync(jars) && spawnSync('mvn', ['-version']).status !== 0 ? 'Maven' : undefined
}

/** What it lacks for building and running the Collector; undefined if nothing. */
export function whatCollectorLacks(): string | undefined {
  return existsSync(kafkaCollector.binary) ? undefined : whatIsMissing()
}

/** What it lacks for the tests with Kafka; undefined if nothing. */
export function whatKafkaLacks(): string | undefined {
  if (!existsSync(join(clients, 'node_modules'))) return 'the clients: `npm run test:durable` installs them'
  return whatBrokersLack() ?? whatCollectorLacks()
}
