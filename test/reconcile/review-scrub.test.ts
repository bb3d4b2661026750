import { expect, test } from 'vitest'
import { eventually } from '../support/store.ts'
import { filled, lose, reconciled, scene } from './scene.ts'

test('a scrub that a mass change stopped is not let go on by a repair of something else (I28)', async () => {
  await using s = await scene({ scrub: { objectsPerDay: 86_400_000 } })
  const keys = Array.from({ length: 60 }, (_, n) => `k/${String(n).padStart(2, '0')}`)
  await filled(s.store, keys)
  s.second.faults.rules = [{ on: 'list', fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER' } }]
  for (const key of keys) await lose(s.second.inner, key)
  s.second.faults.rules = []
  const stopped = () => s.store.status().then(({ scrub }) => scrub?.stopped)
  await eventually(stopped, 20_000)
  await reconciled(s.store, { repair: true, prefix: 'other/' })
  await reconciled(s.store, { repair: true, startAfter: 'z' })
  expect(await stopped()).toMatchObject({ rule: 'many' })
  await reconciled(s.store, { repair: true, confirm: true })
  expect(await stopped()).toBeUndefined()
  await s.store.drain()
}, 40_000)
