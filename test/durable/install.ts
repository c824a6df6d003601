/** Installs and builds what `npm run test:durable` needs beyond the top-level packages: some minutes, once. */
import { build } from '../interop/recipes.ts'
import {
  fetchKafka,
  installClients,
  kafkaCollector,
  whatBrokersLack,
  whatCollectorLacks,
} from './kafka/parts.ts'

installClients()
const brokersLack = whatBrokersLack()
if (brokersLack === undefined) fetchKafka()
const collectorLacks = whatCollectorLacks()
if (collectorLacks === undefined) build(kafkaCollector)

const missing = [
  ...(brokersLack === undefined ? [] : [`the tests with Kafka. They take ${brokersLack}.`]),
  ...(collectorLacks === undefined ? [] : [`the tests with a Collector. They take ${collectorLacks}.`]),
]
for (const what of missing) {
  console.log(`${process.env.CI ? 'FAILED' : 'SKIPPED, not passed'}: ${what}`)
  if (process.env.CI) process.exitCode = 1
}
