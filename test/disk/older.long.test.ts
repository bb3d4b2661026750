import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { bodyFor } from '../kill/body.ts'
import { bodyAt, eventually, keysOf } from '../support/store.ts'
import { twoClouds } from './acked.ts'
import { copyJournal } from './journal-files.ts'
import { scratch } from './place.ts'
import { storeProcess } from './process.ts'

// A journal that is not the newest: restored from a backup, or copied while it was written.

const large = 50_000

test('a journal that was restored from before brings older writes over nothing newer, and back nothing deleted, and names what it no longer has (D16, I12, I13)', async () => {
  const root = await scratch()
  const directory = join(root, 'store')
  const clouds = twoClouds()
  const [primary, secondary] = clouds.providers
  const open = async (run: 'here' | 'external' = 'here') => {
    const store = await openHoldfast({ directory, primary, secondary, holdMs: 0, replication: { run } })
    onTestFinished(() => store.close())
    return store
  }
  const first = await open('external')
  await first.put('replaced row', 'old')
  await first.put('replaced file', Buffer.alloc(large, 1))
  await first.put('deleted', 'old')
  await first.close()
  const backup = join(root, 'backup')
  mkdirSync(backup)
  copyJournal(directory, backup)
  const second = await open()
  await second.put('replaced row', 'new')
  await second.put('replaced file', Buffer.alloc(large, 2))
  await second.delete('deleted')
  await second.put('later', 'new')
  await second.drain({ until: 'verified' })
  await second.close()

  copyJournal(backup, directory)
  // A backup of a minute ago would not be asked about; this one is from the day before.
  const database = new Database(join(directory, 'journal.sqlite'))
  database.exec('UPDATE writes SET accepted_at = accepted_at - 86400000')
  database.close()
  const restored = await open()
  await eventually(async () => {
    const { pending, held, blocked } = await restored.status()
    return pending.writes + held.writes === 0 && blocked.writes <= 1
  })
  for (const provider of clouds.providers) {
    expect((await keysOf(provider)).toSorted()).toEqual(['later', 'replaced file', 'replaced row'])
    expect(String(await bodyAt(provider, 'replaced row'))).toBe('new')
    expect((await bodyAt(provider, 'replaced file'))?.at(0)).toBe(2)
  }
  expect(await (await restored.get('replaced row'))?.text()).toBe('new')
  expect(await restored.get('deleted')).toBeUndefined()
  // What it writes from now on is newer than all that.
  await restored.put('replaced row', 'newest')
  await restored.delete('later')
  await eventually(async () => String(await bodyAt(secondary, 'replaced row')) === 'newest')
  await eventually(async () => (await bodyAt(secondary, 'later')) === undefined)
})

async function openAlone(directory: string) {
  const [primary, secondary] = twoClouds().providers
  const store = await openHoldfast({ directory, primary, secondary, holdMs: 0, replication: { run: 'external' } })
  onTestFinished(() => store.close())
  return store
}

test('a directory that was copied while it was written opens as what it was at some moment, or says that it cannot; wrong bytes come of none (D18, I7)', async () => {
  const root = await scratch()
  const directory = join(root, 'store')
  const app = await storeProcess(directory, { store: { replication: { run: 'external' } } })
  await app.order({ do: 'open' })
  const outcomes = { opened: 0, refused: 0, served: 0, told: 0 }
  const keys: string[] = []
  for (let round = 0; round < 3; round++) {
    const traffic = Promise.all(
      [0, 1, 2].map(part => {
        const prefix = `k${round}/${part}/`
        for (let n = 0; n < 40; n++) keys.push(`${prefix}${n}`)
        return app.order({ do: 'puts', prefix, count: 40, size: part === 0 ? large : 15_000 })
      }),
    )
    const copy = join(root, `copy${round}`)
    cpSync(directory, copy, { recursive: true })
    await traffic
    const store = await openAlone(copy).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'CORRUPT' })
      return undefined
    })
    if (store === undefined) outcomes.refused++
    else {
      outcomes.opened++
      for (const key of keys) {
        const found = await store.get(key).then(
          answer => answer?.bytes(),
          (error: unknown) => error,
        )
        if (found instanceof Error) outcomes.told++
        else if (found !== undefined) {
          outcomes.served++
          expect(Buffer.from(found as Uint8Array).equals(bodyFor(key, (found as Uint8Array).byteLength)), key).toBe(
            true,
          )
        }
      }
      await store.close()
    }
  }
  console.log(`copies taken while it was written: ${JSON.stringify(outcomes)}`)
  expect(outcomes.opened + outcomes.refused).toBe(3)
})
