import { expect } from 'vitest'
import type { Reason } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

/** A provider that begins to refuse in the middle of a store's life, and what is to follow. */
export interface Refusing {
  readonly provider: Provider
  /** From now on it refuses: everything, or what is about the key 'refused', as `stops` says. */
  refuse(): Promise<unknown>
  heal(): Promise<unknown>
  /** Requests that it was sent since this was asked last. */
  requests(): Promise<number>
  /** What stands still: the whole provider, one write at it, or nothing for longer than it takes to try again. */
  readonly stops: 'provider' | 'replica' | 'nothing'
  readonly reason: Reason
}

/** What one row of a table of refusals is about, for the name of its test. */
export function said({ status, code, message, times, stops, reason }: Said): string {
  const words = message === undefined ? '' : ` "${message.slice(0, 30)}…"`
  const what = { provider: 'all of the provider', replica: 'that write alone', nothing: 'nothing for long' }[stops]
  const end = times === undefined ? '' : `, ${times} times`
  return `with ${status} ${code ?? ''}${words}${end}: it stops ${what} (${reason}), loses and deletes nothing, and drains when it is over`
}

interface Said extends Pick<Refusing, 'stops' | 'reason'> {
  readonly status: number
  readonly code?: string | undefined
  readonly message?: string
  readonly times?: number
}

/** While the provider refuses, however long that is. */
const watchMs = 400
/** Of one object and a provider that refuses it, in that time: tries, a canary or a probe, never a storm. */
const mostRequests = 40

/**
 * Runs a store through it and checks what must hold whatever the refusal: the write is accepted, counted once, read, and at the other provider;
 * what stands still says why; nothing that was there is deleted, requests are few; and when it is over everything drains, byte for byte.
 */
export async function survives(refusing: Refusing): Promise<void> {
  const { provider, stops, reason } = refusing
  await using directory = await testDirectory()
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  const before = await store.put('before', 'was there')
  await before.replicated({ until: 'verified' })

  let tries = 0
  store.on('retry', () => tries++)
  // What is settled by another look within one try.
  store.on('stored', ({ key, provider: at }) => key === 'refused' && at === provider.name && tries++)
  await refusing.refuse()
  await refusing.requests()
  await store.put('refused', 'body', { metadata: { of: 'us' } })
  const { name } = provider
  const told = async () => {
    const { blocked, providers } = await store.status()
    const said = providers[0]
    if (stops === 'nothing') return blocked.writes === 0 && tries > 0
    const isSaid = blocked.reasons.some(found => found.provider === name && found.reason === reason)
    return isSaid && (stops === 'provider') === (said?.state === 'blocked' && said.reason === reason)
  }
  await eventually(told, 30_000)
  await new Promise(resolve => setTimeout(resolve, watchMs))
  expect(await refusing.requests()).toBeLessThan(mostRequests)
  const { accepted, done, superseded, pending, held, blocked, providers } = await store.status()
  expect(done + superseded + pending.writes + held.writes + blocked.writes).toBe(accepted)
  expect(blocked.writes).toBe(stops === 'nothing' ? 0 : 1)
  if (stops === 'provider') expect(providers[0]?.state).toBe('blocked')
  else expect(providers[0]?.state).not.toBe('blocked')
  expect(await (await store.get('refused'))?.text()).toBe('body')
  expect(await (await store.get('before'))?.text()).toBe('was there')
  expect((await bodyAt(other, 'refused'))?.toString()).toBe('body')
  if (stops === 'replica') {
    const passes = await store.put('passes', 'by')
    await passes.replicated()
  }

  await refusing.heal()
  if (stops === 'replica') expect(await store.blocked.retry({ provider: name })).toBe(1)
  if (stops === 'provider') await eventually(async () => (await store.status()).providers[0]?.state === 'up', 30_000)
  await store.drain({ until: 'verified' })
  const keys = stops === 'replica' ? ['before', 'passes', 'refused'] : ['before', 'refused']
  for (const each of [provider, other]) {
    expect(await keysOf(each)).toEqual(keys)
    expect((await bodyAt(each, 'refused'))?.toString()).toBe('body')
    expect((await bodyAt(each, 'before'))?.toString()).toBe('was there')
  }
  expect((await store.status()).done).toBe(keys.length)
}

/** So many stores at a time: most of their time they wait for a provider's next probe. */
const mostAtOnce = 12

/** Begins all of them, few at a time; each answers for itself. */
export function atOnce(jobs: readonly (() => Promise<void>)[]): readonly Promise<void>[] {
  const outcomes = jobs.map(() => Promise.withResolvers<void>())
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < jobs.length; index = next++)
      await jobs[index]?.().then(outcomes[index]?.resolve, outcomes[index]?.reject)
  }
  for (let worker = 0; worker < mostAtOnce; worker++) void work()
  // Whoever asks hears of it.
  for (const { promise } of outcomes) promise.catch(() => {})
  return outcomes.map(({ promise }) => promise)
}
