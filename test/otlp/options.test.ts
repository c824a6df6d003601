import { describe, expect, it } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { captureDiag } from '../helpers/captured-diag.ts'

describe('wrong options', () => {
  it.each([
    [{ timeoutMillis: -1 }, RangeError, /timeoutMillis.*-1/],
    [{ timeoutMillis: Number.NaN }, RangeError, /timeoutMillis.*NaN/],
    [{ timeoutMillis: 2 ** 31 }, RangeError, /timeoutMillis.*2147483648/],
    [{ timeoutMillis: '5' }, TypeError, /timeoutMillis.*5/],
    [{ timeoutMillis: null }, TypeError, /timeoutMillis.*null/],
    [{ attemptTimeoutMillis: Number.POSITIVE_INFINITY }, RangeError, /attemptTimeoutMillis.*Infinity/],
    [{ maxRequestBytes: 0 }, RangeError, /maxRequestBytes.*0/],
    [{ compression: 'zstd' }, RangeError, /compression must be none or gzip, not zstd/],
    [{ encoding: 'xml' }, RangeError, /encoding must be protobuf or json, not xml/],
    [{ fetch: 'yes' }, TypeError, /fetch.*yes/],
    [{ agent: 5 }, TypeError, /agent.*5/],
    [{ tls: 'pem' }, TypeError, /tls/],
    [{ userAgent: 'a\nb' }, TypeError, /userAgent/],
    [{ userAgent: 7 }, TypeError, /userAgent.*7/],
    [{ url: 'collector:4318' }, TypeError, /url.*collector:4318/],
    [{ url: 'ftp://collector' }, TypeError, /url.*ftp:\/\/collector/],
    [{ url: '' }, TypeError, /url/],
    [{ headers: 'a=b' }, TypeError, /headers/],
    [{ headers: null }, TypeError, /headers/],
    [{ headers: { 'a b': 'c' } }, TypeError, /header "a b"/],
    [{ headers: { a: 5 } }, TypeError, /header "a"/],
    ['http://collector', TypeError, /options.*http:\/\/collector/],
    [null, TypeError, /options.*null/],
  ])('B48: %o throw an error that names option and value', (options, ErrorType, message) => {
    const construct = (): unknown => new OTLPTraceExporter(options as never)
    expect(construct).toThrow(ErrorType)
    expect(construct).toThrow(message)
  })

  it.each([
    { headers: { authorization: 'hunter2\r\n' } },
    { headers: { authorization: 'hunter2€' } },
    { headers: 'authorization=hunter2' },
    { url: 'ftp://user:hunter2@collector' },
    { url: 'http://user:hunter2@collector:port/?key=hunter2' },
    { tls: 'hunter2' },
  ])('B59: the error shows no secret: %o', (options) => {
    expect.assertions(2)
    try {
      new OTLPTraceExporter(options as never)
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError)
      expect(String(error)).not.toContain('hunter2')
    }
  })

  it('B48: an unknown option is warned about once', () => {
    const log = captureDiag()
    for (let count = 0; count < 2; count++) new OTLPTraceExporter({ endpoint: 'http://collector' } as never)
    expect(log).toEqual(['tailrace: OTLPTraceExporter: unknown option endpoint is ignored'])
  })

  it('B48: undefined means not given', () => {
    const names = [
      'url',
      'headers',
      'timeoutMillis',
      'compression',
      'encoding',
      'fetch',
      'agent',
      'tls',
      'userAgent',
    ]
    new OTLPTraceExporter(Object.fromEntries(names.map((name) => [name, undefined])))
  })
})
