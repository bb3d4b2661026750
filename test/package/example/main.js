import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openHoldfast } from 'holdfast'
import { fs } from 'holdfast/fs'
import { memory } from 'holdfast/memory'

// Beside this file, because the system's temporary directory may be kept in memory, which is refused.
const home = await mkdtemp(join(import.meta.dirname, 'store-'))
const options = {
  directory: join(home, 'store'),
  primary: fs({ root: join(home, 'primary') }),
  secondary: memory(),
  holdMs: 0,
}
// A root that is missing is taken for a disk that is not mounted.
await mkdir(join(home, 'primary'))
const large = Buffer.alloc(3_000_000, 'abc')

{
  const store = await openHoldfast(options)
  const receipt = await store.put('notes/hello.txt', 'hello', {
    contentType: 'text/plain',
    metadata: { by: 'example' },
  })
  await receipt.replicated()
  await store.put('large', large)
  await store.drain()

  const found = await store.get('notes/hello.txt')
  assert.equal(await found?.text(), 'hello')
  assert.equal(found?.info.metadata['by'], 'example')
  assert.equal(found?.info.version, receipt.version)
  assert.deepEqual(Buffer.from((await (await store.get('large'))?.bytes()) ?? []), large)

  const keys = []
  for await (const entry of store.list()) keys.push(entry.type === 'object' ? entry.key : entry.prefix)
  assert.deepEqual(keys, ['large', 'notes/hello.txt'])
  assert.equal((await store.status()).accepted, 2)
  await store.delete('large')
  await store.drain()
  await store.close()
}
{
  const store = await openHoldfast(options)
  assert.equal(await store.get('large'), undefined)
  assert.equal(await (await store.get('notes/hello.txt'))?.text(), 'hello')
  await store.close()
}
await rm(home, { recursive: true })
console.log('put, get, list, delete and a second opening are right')
