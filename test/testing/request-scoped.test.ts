/** The platform shows what production would: who shares a drain between requests strands spans, and who does not, does not. */
import { afterEach, expect, test } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { InMemoryCollector } from '../../src/testing/collector.ts'
import { expectBalanced, expectDelivered } from '../../src/testing/ledger.ts'
import { FakePlatform } from '../../src/testing/platform.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end } from '../helpers/processors.ts'

let uninstall = () => {}
afterEach(() => uninstall())

/** Request A begins a flush and ends without waiting for it; then request B flushes, and waits. */
async function overlap(requestScoped: boolean) {
  const collector = new InMemoryCollector()
  collector.script({ kind: 'accept', delayMillis: 30 })
  const platform = new FakePlatform({ fetch: collector.fetch })
  uninstall = platform.install()
  const processor = watchedProcessor(new OTLPTraceExporter({ fetch: platform.fetch }), {
    requestScoped,
    exportTimeoutMillis: 100,
  })
  const forgetful = platform.request(() => {
    end(processor, 'a')
    void processor.flush()
  })
  await forgetful.ended
  const careful = platform.request((context) => {
    end(processor, 'b')
    context.waitUntil(processor.flush({ timeoutMillis: 8000 }))
  })
  await careful.ended
  return { collector, processor }
}

test('B51: on a platform whose I/O belongs to requests, a shared drain hangs with the request that began it', async () => {
  const { processor } = await overlap(false)
  expect(expectBalanced(processor)).toMatchObject({ ended: 2, exported: 0, pending: 2 })
}, 15_000)

test('B51: on a platform whose I/O belongs to requests, a drain for each request delivers', async () => {
  const { collector, processor } = await overlap(true)
  expectDelivered(processor, collector)
}, 15_000)
