import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, test, vi } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { accountClosed, type Faults } from '../../src/testing/faulty/rules.ts'
import { eventually, testDirectory } from '../support/store.ts'

/** The threads that the stores of a test wrote by. */
const threads: Worker[] = []
const post = Worker.prototype.postMessage
vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...given) {
  if (!threads.includes(this)) threads.push(this)
  post.apply(this, given)
})

afterEach(() => {
  threads.length = 0
})

function pair() {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  return { faults, a: faulty(inner, faults), b: memory({ name: 'b' }) }
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** What comes of it, or 'hangs'. */
function within(ms: number, promise: Promise<unknown>): Promise<unknown> {
  const settled = promise.then(
    value => value ?? 'resolved',
    (error: unknown) => error,
  )
  return Promise.race([settled, pause(ms).then(() => 'hangs')])
}

test('close waits neither for a body that never comes nor for a provider that never answers', async () => {
  await using directory = await testDirectory()
  const { faults, a } = pair()
  const store = await directory.open([a, faulty(memory({ name: 'b' }), faults)])
  await (await store.put('there', 'body')).replicated({ until: 'verified' })
  await eventually(async () => (await store.status()).done === 1)
  faults.rules = [{ fault: { kind: 'hang' } }]
  async function* body() {
    yield Buffer.alloc(100_000)
    await new Promise(() => {})
  }
  const calls = [store.put('k', body()), store.get('there'), store.head('there')].map(call => within(5_000, call))
  await pause(100)
  expect(await within(3_000, store.close())).toBe('resolved')
  for (const call of calls) expect(await call).toMatchObject({ code: 'CLOSED', outcome: 'rejected' })
})

test('a conditional write that is not decided when the store closes says only what is known of it', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  faults.rules = [{ on: 'put', key: 'sent', fault: { kind: 'hang' } }]
  faults.calls = []
  const sent = store.put('sent', 'body', { if: 'absent' }).catch((error: unknown) => error)
  await eventually(() => faults.calls?.some(({ key }) => key === 'sent'))
  await store.close()
  expect(await sent).toMatchObject({ code: 'CLOSED', outcome: 'unknown' })
})

test('whoever waits hears that the thread of the journal ended, and that what was accepted is accepted (P10, J8)', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b])
  faults.rules = [{ fault: { kind: 'hang' } }]
  const waiting = [
    store.put('k', 'body', { ack: 'all' }),
    (await store.put('k2', 'body')).replicated(),
    store.drain(),
  ].map(call => within(10_000, call))
  await pause(100)
  await threads[0]?.terminate()
  expect(await store.put('k3', 'body').catch((error: unknown) => error)).toMatchObject({ code: 'CORRUPT' })
  const [acknowledged, replicated, drained] = await Promise.all(waiting)
  expect(acknowledged).toMatchObject({ code: 'ACK_TIMEOUT', outcome: 'accepted' })
  expect(replicated).toMatchObject({ code: 'CORRUPT', rule: 'thread' })
  expect(drained).toMatchObject({ code: 'CORRUPT', rule: 'thread' })
  expect((await store.status()).stage.journal).toBe('poisoned')
}, 30_000)

test('whoever waits in a process that does not replicate hears that the directory was poisoned', async () => {
  await using directory = await testDirectory()
  const { a, b } = pair()
  const store = await directory.open([a, b], { replication: { run: 'external' } })
  await store.put('k', 'body')
  const drained = within(10_000, store.drain())
  await writeFile(join(directory.path, 'poisoned'), 'by another process\n', { mode: 0o600 })
  expect(await drained).toMatchObject({ code: 'CORRUPT', rule: 'poisoned' })
}, 20_000)

test('waiting for a second look that cannot come ends with BLOCKED, and what is stored is drained', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b], { holdMs: 1_000 })
  const receipt = await store.put('k', 'body', { ack: 'all' })
  faults.rules = [{ fault: accountClosed }]
  await eventually(async () => (await store.status()).providers[0]?.state === 'blocked')
  const blocked = { code: 'BLOCKED', provider: 'a', reason: 'ACCOUNT' }
  expect(await within(5_000, receipt.replicated({ until: 'verified' }))).toMatchObject(blocked)
  await store.drain()
  await receipt.replicated()
}, 20_000)
