import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Announcement } from '../../src/pipeline/wait.ts'
import { microtasks } from '../helpers/settling.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

describe('an announcement', () => {
  it('is made after the code that is running, once for all that has come up', async () => {
    const make = vi.fn()
    const announcement = new Announcement(make)
    announcement.makeSoon()
    announcement.makeSoon()
    expect(make).not.toHaveBeenCalled()
    await microtasks()
    expect(make).toHaveBeenCalledTimes(1)
    announcement.makeSoon()
    await microtasks()
    expect(make).toHaveBeenCalledTimes(2)
  })

  it('of what comes up while it is made waits until the event loop has turned', async () => {
    const make = vi.fn(() => announcement.makeSoon())
    const announcement = new Announcement(make)
    announcement.makeSoon()
    await microtasks()
    expect(make).toHaveBeenCalledTimes(1)
    await vi.advanceTimersToNextTimerAsync()
    expect(make).toHaveBeenCalledTimes(2)
  })

  it('does not wait for a timer that never fires, as those of a request that is over', async () => {
    let isEager = true
    const make = vi.fn(() => {
      if (isEager) announcement.makeSoon()
      isEager = false
    })
    const announcement = new Announcement(make)
    announcement.makeSoon()
    await microtasks()
    expect(make).toHaveBeenCalledTimes(1)
    announcement.makeSoon()
    await microtasks()
    expect(make).toHaveBeenCalledTimes(2)
  })
})
