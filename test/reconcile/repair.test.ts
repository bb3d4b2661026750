import { expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import { markerAt } from '../../src/core/marker.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { filled, lose, mark, never, plant, reconciled, scene, textAt, version } from './scene.ts'
import { eventually } from '../support/store.ts'

// What is decided is in compare.test.ts; here it is carried out, by a store.

test('I10, I12, I13, I17, I22: one complete repair makes the providers equal: lost, older, edited in place, deleted, foreign', async () => {
  await using s = await scene({ count: 3 })
  const hourAgo = version(Date.now() - 3_600_000)
  await filled(s.store, ['deleted', 'edited', 'equal', 'lost', 'older'])
  const was = await s.first.inner.head('edited', never)
  await lose(s.first.inner, 'lost')
  await lose(s.second.inner, 'lost')
  await plant(s.first.inner, 'older', { body: 'old', version: hourAgo })
  const claims = { crc32c: '00000000' }
  await plant(s.second.inner, 'edited', {
    body: 'edited in place',
    version: (was && recognise(was).version) ?? '',
    claims,
  })
  await lose(s.first.inner, 'deleted')
  await mark(s.first.inner, 'deleted', version(Date.now()))
  await plant(s.second.inner, 'photo', { body: 'of others', contentType: 'image/png', metadata: { by: 'anna' } })
  const source = await s.second.inner.head('photo', never)

  const seen = await reconciled(s.store)
  expect(seen.drift.map(({ key, kind, repair }) => [key, kind, repair])).toEqual([
    ['deleted', 'deleted', 'none'],
    ['edited', 'foreign', 'none'],
    ['lost', 'missing', 'none'],
    ['older', 'different', 'none'],
    ['photo', 'foreign', 'none'],
  ])
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift.map(({ repair }) => repair)).toEqual(Array(5).fill('queued'))
  expect(counters).toMatchObject({
    surveyed: 6,
    compared: 6,
    missing: 1,
    different: 1,
    foreign: 2,
    deleted: 1,
    queued: 5,
  })
  await s.store.drain({ until: 'verified' })

  for (const at of s.places) {
    expect(await textAt(at, 'deleted')).toBeUndefined()
    expect(await textAt(at, 'edited')).toBe('edited in place')
    for (const key of ['equal', 'lost', 'older']) expect(await textAt(at, key)).toBe(`body of ${key}`)
    const photo = await at.inner.head('photo', never)
    expect(photo).toMatchObject({ headers: { contentType: 'image/png' }, metadata: { by: 'anna' } })
    expect(photo && recognise(photo).version).toBe(source && recognise(source).version)
    expect(await markerAt(at.inner, 'deleted', never)).toBeDefined()
  }
  expect((await s.second.inner.head('photo', never))?.token).toBe(source?.token)
  for (const options of [{}, { attributes: true }, { deep: true, repair: true }])
    expect((await reconciled(s.store, options)).drift).toEqual([])
})

test('I22: a source whose bytes are wrong when they are fetched repairs nothing; a write that is on its way is left alone', async () => {
  await using s = await scene()
  await filled(s.store, ['bad', 'kept', 'open'])
  await lose(s.second.inner, 'bad')
  s.first.faults.rules = [{ on: 'get', key: 'bad', fault: { kind: 'corrupt', atByte: 0 } }]
  s.second.faults.rules = [{ on: ['put', 'head'], key: 'open', fault: outage }]
  await s.store.put('open', 'newer')
  // Else both have the same one still, and there is nothing to leave alone.
  await eventually(async () => (await textAt(s.first, 'open')) === 'newer')
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([{ key: 'bad', repair: 'impossible', why: expect.stringContaining('bytes') }])
  expect(counters).toMatchObject({ skipped: 1, impossible: 1, queued: 0 })
  expect(await textAt(s.second, 'bad')).toBeUndefined()
})

test('a run rejects with CLOSED once the store is closed, and closing waits for no loop that nobody goes on with', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b', 'kept'])
  for (const key of ['a', 'b']) await lose(s.second.inner, key)
  const run = s.store.reconcile()
  const steps = run[Symbol.asyncIterator]()
  expect((await steps.next()).value).toMatchObject({ key: 'a' })
  await s.store.close()
  await expect(steps.next()).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(s.store.reconcile()).rejects.toMatchObject({ code: 'CLOSED' })
})
