import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { visit } from '../../src/replicate/attended.ts'
import { putAt } from '../replicate/mending.ts'
import { dayMs } from '../store/nodes.ts'

const never = new AbortController().signal

test('a provider that is trusted again stays so, however often it is looked at before its mark is written anew', async () => {
  let nowMs = Date.UTC(2026, 0, 1)
  const clock = { now: () => nowMs, monotonic: () => nowMs, sleep: async () => {} }
  const bucket = memory({ clock })
  const jobs = new Map<string, string>()
  let isStale = false
  const journal = {
    providers: () => [{ id: 1, isStale } as never],
    job: (name: string) => jobs.get(name),
    saveJob: async (name: string, state: string | undefined) =>
      void (state === undefined ? jobs.delete(name) : jobs.set(name, state)),
    stale: async () => void (isStale = true),
    trusted: async () => void (isStale = false),
  }
  const look = () => visit({ journal, provider: bucket, id: 1, maxAgeMs: 45 * dayMs, now: clock.now }, never)
  // Another directory marked it, long ago.
  await putAt(bucket, '.holdfast/attended', JSON.stringify({ format: 1, at: nowMs }))
  nowMs += 50 * dayMs
  expect((await look()).isStale).toBe(true)
  await journal.trusted()
  expect((await look()).isStale).toBe(false)
  nowMs += 1_000
  expect((await look()).isStale).toBe(false)
})
