import { describe, expect, test } from 'vitest'
import { expectBalanced, expectDelivered } from '../../src/testing/ledger.ts'
import { deliveringExporter, hangingExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end } from '../helpers/processors.ts'
import { isInReadme } from '../helpers/readme.ts'

const good = () => {
  const processor = watchedProcessor(deliveringExporter('encoded'))
  end(processor, 'a', 'b', 'c')
  return processor
}

describe('expectBalanced', () => {
  test('answers with the ledger of a processor, or of its stats, while spans are pending and after', async () => {
    const processor = good()
    expect(expectBalanced(processor)).toMatchObject({ ended: 3, pending: 3 })
    await processor.flush()
    expect(expectBalanced(processor.stats())).toMatchObject({ ended: 3, exported: 3 })
  })

  test.each([
    [{ ended: 5 }, 'the ledger does not balance: 2 of 5 spans unaccounted for. ended 5; exported 3, '],
    [{ ended: 2 }, 'the ledger does not balance: 1 of 2 spans accounted for more than once'],
    [{ failed: -1 }, 'failed is no count: -1'],
    [{ exported: Number.NaN }, 'exported is no count: NaN'],
    [{ inFlight: 1 }, '1 spans are in flight, and only 0 pending'],
  ])('says what is wrong with %o', async (change, message) => {
    const processor = good()
    await processor.flush()
    const broken = () => expectBalanced({ ...processor.stats(), ...change })
    expect(broken).toThrow(message)
    expect(broken).toThrow(expect.objectContaining({ name: 'AssertionError' }))
  })

  test('names the reasons of drops', async () => {
    const processor = watchedProcessor(hangingExporter('encoded'))
    end(processor, 'a', 'b')
    await processor.shutdown({ timeoutMillis: 0 })
    const stats = processor.stats()
    expect(() => expectBalanced({ ...stats, ended: 3 })).toThrow('dropped 2 (shutdown_timeout 2)')
  })
})

describe('expectDelivered', () => {
  const collected = (...spanIds: string[]) => ({
    spans: spanIds.map((spanId) => ({ traceId: 't', spanId })) as never[],
  })

  test('wants every span exported, and at the collector', async () => {
    const processor = good()
    expect(() => expectDelivered(processor)).toThrow('3 of 3 spans were not exported. ended 3; exported 0')
    await processor.flush()
    expect(expectDelivered(processor)).toMatchObject({ exported: 3 })
    expect(expectDelivered(processor, collected('1', '2', '3', '3'))).toMatchObject({ exported: 3 })
    const lossy = () => expectDelivered(processor, collected('1', '2', '2'))
    expect(lossy).toThrow('3 spans were exported, and the collector has 2 different ones')
  })
})

test('README prints the example that runs as a test of its own', () => {
  expect(isInReadme('checkout.test.ts')).toBe(true)
})
