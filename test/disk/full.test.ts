import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { checkDirectory } from '../support/directory.ts'
import { eventually } from '../support/store.ts'
import { expectAtBoth, expectServed, type Promised, putUntilRefused, twoClouds } from './acked.ts'
import { ext4, scratch } from './place.ts'

// Processes and mounts: seconds where the machine has nothing else to do, many more where it has.
vi.setConfig({ testTimeout: 60_000 })

// Real file systems, as small as they can be made.

const noSpace = { code: 'NO_SPACE', outcome: 'rejected', retryable: true }

test('a disk that is full refuses puts, down to those that only the journal would take; deletes and draining go on, and puts when there is room (D6, D19, I2, I31, I33)', async context => {
  const at = join(await scratch(), 'disk')
  await ext4(context, at, 20)
  const directory = join(at, 'store')
  const { providers } = twoClouds()
  const [primary, secondary] = providers
  const open = (run: 'here' | 'external') =>
    openHoldfast({ directory, primary, secondary, holdMs: 0, replication: { run } })
  let store = await open('external')
  onTestFinished(() => store.close())
  const promised: Promised = new Map()
  for (const [name, size] of [
    ['large', 900_000],
    ['middle', 60_000],
    ['row', 15_000],
    ['tiny', 10],
  ] as const)
    expect(await putUntilRefused(store, promised, name, size), name).toMatchObject(noSpace)
  expect(promised.size).toBeGreaterThan(10)
  expect(await readdir(join(directory, 'drafts'))).toEqual([])
  expect((await store.status()).accepted).toBe(promised.size)
  expect((await store.status()).stage.journal).toBe('open')
  await expectServed(store, promised)

  for (const key of ['large/0', 'row/0', 'not there']) {
    await store.delete(key)
    promised.set(key, undefined)
  }
  // As full as it is, it opens again: what is there must be brought away.
  await store.close()
  store = await open('external')
  await expectServed(store, promised)
  await store.close()
  store = await open('here')
  await store.drain({ until: 'verified' })
  await expectAtBoth(providers, promised)
  // What was brought away is unlinked right after.
  await eventually(() => store.put('after', Buffer.alloc(2_000_000)))
  await store.put('after', '')
  promised.set('after', 0)
  await store.drain({ until: 'verified' })
  await expectAtBoth(providers, promised)
  await store.close()
  store = await open('here')
  expect((await store.status()).stage.warnings).toEqual([])
  expect((await stat(join(directory, 'reserve'))).size).toBe(4_194_304)
  await store.close()
  await checkDirectory(directory)
})

test('a file system without inodes refuses bodies that need a file and takes those that need none; what it took is drained (D7, I2, I31)', async context => {
  const at = join(await scratch(), 'disk')
  await ext4(context, at, 20, ['-N', '64'])
  const directory = join(at, 'store')
  const { providers } = twoClouds()
  const [primary, secondary] = providers
  const open = (run: 'here' | 'external') =>
    openHoldfast({ directory, primary, secondary, holdMs: 0, replication: { run } })
  let store = await open('external')
  onTestFinished(() => store.close())
  const promised: Promised = new Map()
  expect(await putUntilRefused(store, promised, 'file', 20_000)).toMatchObject(noSpace)
  expect(promised.size).toBeGreaterThan(5)
  await store.put('row', '')
  promised.set('row', 0)
  await store.delete('file/0')
  promised.set('file/0', undefined)
  await expectServed(store, promised)
  await store.close()
  store = await open('here')
  await store.drain({ until: 'verified' })
  await eventually(() => store.put('file', Buffer.alloc(20_000)))
  await store.put('file', '')
  promised.set('file', 0)
  await store.drain({ until: 'verified' })
  await expectAtBoth(providers, promised)
  await store.close()
  await checkDirectory(directory)
})
