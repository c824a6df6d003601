import { describe, expect, it } from 'vitest'
import { Writer } from '../../src/otlp/writer.ts'
import { RecordLog } from '../../src/pipeline/record-log.ts'

describe('a writer with room at its sink', () => {
  it('writes there again after a record for which that was too small', () => {
    const log = new RecordLog()
    log.append(0, new Uint8Array(8192), 0, 8192, 0, 0)
    const writer = new Writer()
    const write = (bytes: number): boolean => {
      writer.begin(log.room)
      writer.raw(new Uint8Array(bytes))
      const isInRoom = writer.bytes === log.room.bytes
      writer.end()
      return isInRoom
    }
    expect(write(1000)).toBe(true)
    expect(write(100_000)).toBe(false)
    expect(write(1000)).toBe(true)
  })
})
