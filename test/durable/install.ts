/** Installs and builds what `npm run test:durable` needs beyond the top-level packages: some minutes, once. */
import { execFileSync } from 'node:child_process'
import { build } from '../interop/recipes.ts'
import { clients, fetchKafka, kafkaCollector, whatKafkaLacks } from './kafka/parts.ts'

execFileSync('npm', ['ci', '--prefix', clients, '--no-audit', '--no-fund', '--loglevel=error'], {
  stdio: 'inherit',
})
const missing = whatKafkaLacks()
if (missing === undefined) {
  fetchKafka()
  build(kafkaCollector)
} else {
  const verdict = process.env.CI ? 'FAILED' : 'SKIPPED, not passed'
  console.log(`${verdict}: the tests with Kafka. They take ${missing}.`)
  if (process.env.CI) process.exitCode = 1
}
