/** What README prints for Lambda is what runs here. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { describeInLambda, withFunction } from '../helpers/lambda-function.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

describeInLambda('the examples for Lambda', () => {
  test.each(['lambda', 'lambda-after-response'])(
    'B50: %s.ts: greets, and both spans are out before the freeze',
    async (example) => {
      for (const client of [3, 4] as const) {
        for (const isBundle of [false, true]) {
          const source = `examples/${example}.ts`
          await withFunction({ source, client, isBundle }, async ({ environment, collector }) => {
            for (const name of ['Ada', 'Grace']) {
              const seen = collector.requests.requests.length
              const { kind, body } = await environment.invoke({ name })
              expect({ kind, body }).toEqual({ kind: 'response', body: `"Hello ${name}"` })
              const spans = collector.requests.requests
                .slice(seen)
                .flatMap((request) => decodeProtobuf(request.body).resourceSpans)
                .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
              expect(spans.map((span) => span.name)).toEqual(['greet', 'checkout'])
              expect(spans[0]!.parentSpanId).toBe(spans[1]!.spanId)
            }
          })
        }
      }
    },
  )

  test('are what README prints', async () => {
    const [readme, before, after] = await Promise.all([
      read('README.md'),
      read('test/examples/lambda.ts'),
      read('test/examples/lambda-after-response.ts'),
    ])
    expect(readme).toContain(`\`\`\`ts\n${before}\`\`\``)
    const last = (text: string) => text.trimEnd().split('\n').at(-1)!
    expect(readme).toContain(`\`${last(after).replace('export const handler = ', '')}\``)
    expect(after.replace(last(after), last(before))).toBe(before)
  })
})
