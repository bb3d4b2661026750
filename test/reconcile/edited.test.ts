import { expect, test } from 'vitest'
import { filled, plant, reconciled, scene, textAt, version } from './scene.ts'

test('what a tool changed in place, our metadata kept, is not taken back: it is the newest, and goes to the other provider (I17)', async () => {
  await using s = await scene()
  await filled(s.store, ['other'])
  const was = version(Date.now() - 86_400_000)
  for (const { inner } of s.places) await plant(inner, 'photo', { body: 'as it was', version: was })
  await plant(s.first.inner, 'photo', { body: 'edited by hand', version: was, claims: { size: 9 } })
  const { drift } = await reconciled(s.store, { repair: true })
  await s.store.drain({ until: 'verified' })
  expect(drift).toMatchObject([{ key: 'photo', kind: 'foreign', repair: 'queued' }])
  for (const at of s.places) expect(await textAt(at, 'photo')).toBe('edited by hand')
  expect((await reconciled(s.store, { repair: true, attributes: true })).drift).toEqual([])
})

test("where foreign is 'report' it is left as it is", async () => {
  await using s = await scene({ foreign: 'report' })
  await filled(s.store, ['other'])
  const was = version(Date.now() - 86_400_000)
  for (const { inner } of s.places) await plant(inner, 'photo', { body: 'as it was', version: was })
  await plant(s.first.inner, 'photo', { body: 'edited by hand', version: was, claims: { size: 9 } })
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([{ key: 'photo', kind: 'foreign', repair: 'none' }])
  expect(await textAt(s.first, 'photo')).toBe('edited by hand')
  expect(await textAt(s.second, 'photo')).toBe('as it was')
})
