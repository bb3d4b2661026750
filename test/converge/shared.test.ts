import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { checkDirectory } from '../support/directory.ts'
import { scratch } from '../store/run.ts'
import { type Order, twoPlaces } from './shared-child.ts'

test('what one process of a directory acknowledged, every other process of it reads at once, deletes too (I23)', async () => {
  const root = await scratch()
  const directory = join(root, 'store')
  for (const name of ['a', 'b']) await mkdir(join(root, name))
  const child = fork(new URL('./shared-child.ts', import.meta.url), [directory, root])
  const exited = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'message')
  const store = await openHoldfast({ directory, ...twoPlaces(root), holdMs: 0 })
  const order = async (what: Order): Promise<string> => {
    const told = once(child, 'message')
    child.send(what)
    const [version] = (await told) as [string]
    return version
  }
  for (let n = 0; n < 10; n++) {
    const version = await order({ put: 'k', body: `body ${n}` })
    const found = await store.get('k')
    expect([found?.info.version, await found?.text()]).toEqual([version, `body ${n}`])
    const own = await store.put('k', 'own')
    expect(own.version > version).toBe(true)
    if (n % 2 === 0) continue
    await order({ delete: 'k' })
    expect(await store.get('k')).toBeUndefined()
  }
  child.disconnect()
  await exited
  await store.drain({ until: 'verified' })
  await store.close()
  await checkDirectory(directory)
}, 60_000)
