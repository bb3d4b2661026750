import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect, onTestFinished, test, type TestContext } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { bodyFor } from '../kill/body.ts'
import { checkDirectory } from '../support/directory.ts'
import { bodyAt, eventually } from '../support/store.ts'
import { expectAtBoth, expectServed, type Promised, twoClouds } from './acked.ts'
import { ext4, memoryDisk, need, run, scratch } from './place.ts'

// The place where a directory was: read-only, not mounted, or another's.

/** Opens stores of one directory and closes them with the test. */
function opener(directory: string, { providers }: ReturnType<typeof twoClouds>) {
  const [primary, secondary] = providers
  return async (run: 'here' | 'external' = 'here'): Promise<Holdfast> => {
    const store = await openHoldfast({ directory, primary, secondary, holdMs: 0, replication: { run } })
    onTestFinished(() => store.close())
    return store
  }
}

async function fill(store: Holdfast, promised: Promised, name: string, sizes: readonly number[]): Promise<void> {
  for (const [n, size] of sizes.entries()) {
    const key = `${name}/${n}`
    await store.put(key, bodyFor(key, size))
    promised.set(key, size)
  }
}

/** What ext4 does by itself after an error of its own: it takes no more writes until it was checked. */
async function breakDown(context: TestContext, at: string): Promise<void> {
  const { stdout } = await run('findmnt', ['-no', 'SOURCE', at])
  const trigger = `/sys/fs/ext4/${basename(stdout.trim())}/trigger_fs_error`
  await need(context, 'test', ['-w', trigger])
  await writeFile(trigger, '1')
}

test('a file system that turns read-only under a store poisons it: nothing more is acknowledged, what providers have is read, and all that was is there when it can be written again (D8, D3, I2, I4)', async context => {
  const at = join(await scratch(), 'disk')
  await ext4(context, at, 24)
  const directory = join(at, 'store')
  const clouds = twoClouds()
  const open = opener(directory, clouds)
  const promised: Promised = new Map()
  const before = await open()
  await fill(before, promised, 'safe', [10, 50_000])
  await before.drain({ until: 'verified' })
  await before.close()
  const store = await open('external')
  await fill(store, promised, 'waiting', [10, 50_000])
  await breakDown(context, at)
  const refused = await Promise.all(
    [store.put('small', 'x'), store.put('large', Buffer.alloc(50_000)), store.delete('safe/0')].map(call =>
      call.then(
        () => 'acknowledged',
        (error: unknown) => error,
      ),
    ),
  )
  for (const error of refused) expect(error).toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'poisoned' })
  expect((await store.status()).stage.journal).toBe('poisoned')
  await expectServed(store, promised)
  await store.close()
  await expect(open()).rejects.toMatchObject({
    code: 'CORRUPT',
    field: 'directory',
    message: expect.stringContaining('EROFS'),
  })
  await run('umount', [at])
  await run('fsck.ext4', ['-y', `${at}.img`]).catch(() => {})
  await run('mount', ['-o', 'loop', `${at}.img`, at])
  const again = await open()
  // Un-acknowledged, and of unknown outcome: wholly there or not at all.
  for (const [key, size] of [
    ['small', 1],
    ['large', 50_000],
  ] as const)
    expect([undefined, size]).toContain((await again.head(key))?.size)
  await expectServed(again, promised)
  await again.drain({ until: 'verified' })
  for (const key of ['small', 'large']) await again.delete(key)
  await again.drain({ until: 'verified' })
  await expectAtBoth(clouds.providers, promised)
  await again.close()
  await checkDirectory(directory)
})

test('where a disk is not mounted its directory is a new one: nothing is deleted anywhere, and what waits goes on when the disk is back, older writes never over newer ones (D9, I12, I14, I20)', async context => {
  const at = join(await scratch(), 'disk')
  await ext4(context, at, 24)
  const clouds = twoClouds()
  const open = opener(join(at, 'store'), clouds)
  const promised: Promised = new Map()
  const first = await open()
  await fill(first, promised, 'safe', [10, 50_000])
  await first.drain({ until: 'verified' })
  await first.close()
  const before = await open('external')
  await fill(before, promised, 'waiting', [10, 50_000])
  await before.put('replaced', 'older')
  await before.close()
  await run('umount', [at])

  const without = await open()
  await without.put('replaced', '')
  promised.set('replaced', 0)
  await fill(without, promised, 'meanwhile', [10])
  await without.drain({ until: 'verified' })
  const repaired = await without.reconcile({ repair: true })
  expect(repaired).toBeDefined()
  await without.close()
  for (const key of ['waiting/0', 'waiting/1']) promised.delete(key)
  await expectAtBoth(clouds.providers, promised)

  await run('mount', ['-o', 'loop', `${at}.img`, at])
  const back = await open()
  await back.drain({ until: 'verified' })
  promised.set('waiting/0', 10).set('waiting/1', 50_000)
  await expectServed(back, promised)
  await expectAtBoth(clouds.providers, promised)
  await back.close()
  await checkDirectory(join(at, 'store'))
})

test('a directory without the disk that its bodies were on is refused, and so is one with parts of another (D9, I14, I20)', async () => {
  const root = await scratch()
  const clouds = twoClouds()
  const [path, other] = [join(root, 'store'), join(root, 'other')]
  const open = opener(path, clouds)
  const promised: Promised = new Map()
  const first = await open('external')
  await fill(first, promised, 'k', [10, 50_000])
  await first.close()
  await (await opener(other, twoClouds())()).close()
  const away = join(root, 'away')

  await rename(join(path, 'bodies'), away)
  await expect(open()).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'layout' })
  await rename(away, join(path, 'bodies'))
  for (const part of ['journal.sqlite', 'holdfast.json']) {
    await rename(join(path, part), away)
    await rename(join(other, part), join(path, part))
    await expect(open()).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'identity' })
    await rename(join(path, part), join(other, part))
    await rename(away, join(path, part))
  }
  // Empty ones in their place: what the rows name is missed, and said to be.
  await rename(join(path, 'bodies'), away)
  await rename(join(other, 'bodies'), join(path, 'bodies'))
  const empty = await open()
  await eventually(async () => (await empty.status()).blocked.writes === 1)
  expect((await empty.status()).blocked.reasons.map(({ reason }) => reason)).toEqual(['LOCAL_CORRUPT', 'LOCAL_CORRUPT'])
  await expect(empty.get('k/1').then(found => found?.bytes())).rejects.toMatchObject({ code: 'CORRUPT' })
  await empty.close()
  await rm(join(path, 'bodies'), { recursive: true })
  await rename(away, join(path, 'bodies'))
  const whole = await open()
  await eventually(async () => (await whole.status()).blocked.writes === 0)
  await whole.drain({ until: 'verified' })
  await expectAtBoth(clouds.providers, promised)
  await whole.close()
  await checkDirectory(path)
})

test('memory is no place for promises: refused, with the way out, and nothing is made there (D12)', async context => {
  const at = join(await scratch(), 'memory')
  await memoryDisk(context, at, 12)
  const [primary, secondary] = twoClouds().providers
  await expect(openHoldfast({ directory: join(at, 'store'), primary, secondary })).rejects.toMatchObject({
    code: 'INVALID',
    field: 'directory',
    rule: 'filesystem',
    message: expect.stringContaining("disk: 'ephemeral'"),
  })
  expect(await readdir(at)).toEqual([])
  const store = await openHoldfast({ directory: join(at, 'store'), primary, secondary, disk: 'ephemeral', holdMs: 0 })
  onTestFinished(() => store.close())
  await store.put('k', 'body')
  // Acknowledged there means: a provider has it.
  const found = await Promise.all([primary, secondary].map(provider => bodyAt(provider, 'k')))
  expect(found.map(String)).toContain('body')
})
