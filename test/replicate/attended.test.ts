import { expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import type { ProviderRow } from '../../src/journal/contract.ts'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { lastVisit, visit } from '../../src/replicate/attended.ts'
import { bodyAt } from '../support/store.ts'
import { dayMs, putPast } from '../store/nodes.ts'

const markKey = '.holdfast/attended'
const never = new AbortController().signal
const maxAgeMs = 45 * dayMs

function scene(provider?: Provider) {
  const time = { ms: Date.UTC(2026, 0, 1) }
  const clock = { now: () => time.ms, monotonic: () => time.ms, sleep: async () => {} }
  const bucket = provider ?? memory({ clock })
  return { time, clock, bucket }
}

/** What one directory remembers of one provider. */
function directory(provider: Provider, now: () => number) {
  const jobs = new Map<string, string>()
  let isStale = false
  const journal = {
    providers: () => [{ id: 1, isStale } as ProviderRow],
    job: (name: string) => jobs.get(name),
    saveJob: async (name: string, state: string | undefined) => {
      if (state === undefined) jobs.delete(name)
      else jobs.set(name, state)
    },
    stale: async () => {
      isStale = true
    },
    trusted: async () => {
      isStale = false
    },
  }
  return {
    journal,
    isStale: () => isStale,
    async visit() {
      const seen = await visit({ journal, provider, id: 1, maxAgeMs, now }, never)
      await seen.renew()
      return seen
    },
  }
}

async function markAt(provider: Provider): Promise<unknown> {
  const body = await bodyAt(provider, markKey)
  return body === undefined ? undefined : JSON.parse(body.toString())
}

test('a bucket without a mark is trusted, and marked by its own clock; the next days renew it', async () => {
  const { time, bucket, clock } = scene()
  const here = directory(bucket, () => clock.now() + 30 * 60_000)
  expect(await here.visit()).toMatchObject({ isStale: false, awaySince: undefined })
  expect(await markAt(bucket)).toEqual({ format: 1, at: time.ms })
  for (let day = 0; day < 100; day++) {
    time.ms += dayMs
    expect(await here.visit()).toMatchObject({ isStale: false })
    expect(await markAt(bucket)).toEqual({ format: 1, at: time.ms })
  }
  expect(lastVisit(here.journal, 1)).toBe(time.ms + 30 * 60_000)
})

test('a mark is in the part of the bucket that the provider is', async () => {
  const { bucket, clock } = scene()
  const here = directory(prefixed(bucket, 'photos/'), clock.now)
  await here.visit()
  expect(await markAt(bucket)).toBeUndefined()
  expect(await bodyAt(bucket, `photos/${markKey}`)).toBeDefined()
})

test('a provider that nobody attended to for half of the life of markers is stale, and its mark is left alone until somebody trusts it (I13)', async () => {
  const { time, bucket, clock } = scene()
  const [here, there] = [directory(bucket, clock.now), directory(bucket, clock.now)]
  await here.visit()
  await there.visit()
  const left = await markAt(bucket)
  const leftAt = time.ms
  time.ms += maxAgeMs
  expect(await there.visit()).toMatchObject({ isStale: false })
  const secondLeftAt = time.ms
  time.ms += maxAgeMs + 1
  expect(await here.visit()).toMatchObject({ isStale: true, awaySince: secondLeftAt })
  expect(await there.visit()).toMatchObject({ isStale: true, awaySince: secondLeftAt })
  for (let day = 0; day < 3; day++) {
    time.ms += dayMs
    expect(await here.visit()).toMatchObject({ isStale: true, awaySince: undefined })
  }
  expect(await markAt(bucket)).toEqual({ format: 1, at: secondLeftAt })
  expect(left).toEqual({ format: 1, at: leftAt })
  // A complete repair: the next visit writes the mark, also after a restart, and the other directory believes that.
  await here.journal.trusted()
  expect(await here.visit()).toMatchObject({ isStale: false })
  expect(await markAt(bucket)).toEqual({ format: 1, at: time.ms })
  expect(there.isStale()).toBe(true)
  expect(await there.visit()).toMatchObject({ isStale: false })
  expect(there.isStale()).toBe(false)
  // And once more.
  time.ms += maxAgeMs + dayMs
  expect(await there.visit()).toMatchObject({ isStale: true })
})

test('a stale provider whose mark vanished is not trusted because of that', async () => {
  const { time, bucket, clock } = scene()
  const here = directory(bucket, clock.now)
  await here.visit()
  time.ms += maxAgeMs + dayMs
  await here.visit()
  await bucket.delete(markKey, undefined, never)
  expect(await here.visit()).toMatchObject({ isStale: true })
  expect(await markAt(bucket)).toBeUndefined()
})

test('a mark from the future says nothing, one of another form is as old as its object', async () => {
  const { time, bucket, clock } = scene()
  await putPast(bucket, markKey, JSON.stringify({ format: 1, at: time.ms + dayMs }))
  expect(await directory(bucket, clock.now).visit()).toMatchObject({ isStale: true })
  for (const text of ['', 'null', '{"format":2,"since":"x"}', '{"format":1,"at":"today"}', 'x'.repeat(5_000)]) {
    await putPast(bucket, markKey, text)
    time.ms += maxAgeMs - 1
    const [soon, late] = [directory(bucket, clock.now), directory(bucket, clock.now)]
    const before = await bodyAt(bucket, markKey)
    time.ms += 2
    expect(await late.visit()).toMatchObject({ isStale: true })
    expect(await bodyAt(bucket, markKey)).toEqual(before)
    time.ms -= 2
    expect(await soon.visit()).toMatchObject({ isStale: false })
  }
})
