import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { azure, type AzureOptions } from '../../src/providers/azure.ts'
import { memory } from '../../src/providers/memory.ts'
import { type Azurite, startAzurite } from '../servers/azurite.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'
import { azureRefusal, type FaultProxy, startProxy } from './proxy.ts'

const mebibyte = 2 ** 20
let azurite: Azurite
let proxy: FaultProxy
let container: ContainerClient
let count = 0

beforeAll(async () => {
  azurite = await startAzurite()
  proxy = await startProxy(azurite.endpoint)
})
beforeEach(async () => {
  const client = BlobServiceClient.fromConnectionString(azurite.connectionString)
  container = client.getContainerClient(`container-${++count}`)
  await container.create()
  proxy.requests.length = 0
})
afterEach(() => {
  proxy.rule = () => undefined
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await azurite.stop()
})

function azures(more: Partial<AzureOptions> = {}): Provider {
  const { accountName, accountKey } = azurite
  return azure({
    container: container.containerName,
    name: 'azure',
    endpoint: `${proxy.endpoint}/${accountName}`,
    accountName,
    accountKey,
    blockSize: mebibyte,
    singleShotBytes: mebibyte,
    ...more,
  })
}

test('somebody who holds a lease on a blob blocks writes and deletes of it alone; when it ends they go on (A5, I30)', async () => {
  await using directory = await testDirectory()
  const provider = azures()
  const store = await directory.open([provider, memory({ name: 'other' })])
  for (const key of ['replaced', 'deleted']) await store.put(key, 'first')
  await store.drain({ until: 'verified' })
  const leases = ['replaced', 'deleted'].map(key => container.getBlobClient(key).getBlobLeaseClient())
  for (const lease of leases) await lease.acquireLease(-1)
  await store.put('replaced', 'second')
  await store.delete('deleted')
  await store.put('free', 'body')
  await eventually(async () => (await store.status()).blocked.writes === 2)
  expect((await store.status()).blocked.reasons).toEqual([{ provider: 'azure', reason: 'RETENTION', writes: 2 }])
  await eventually(async () => (await bodyAt(provider, 'free')) !== undefined)
  expect(await (await store.get('replaced'))?.text()).toBe('second')
  expect(await store.get('deleted')).toBeUndefined()
  for (const lease of leases) await lease.releaseLease()
  expect(await store.blocked.retry({ reason: 'RETENTION' })).toBe(2)
  await store.drain({ until: 'verified' })
  expect(await keysOf(provider)).toEqual(['free', 'replaced'])
})

test('a snapshot of somebody stands in the way of a delete, and is not deleted; without it the blob goes (A6, I16)', async () => {
  await using directory = await testDirectory()
  const provider = azures()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  await container.getBlobClient('k').createSnapshot()
  await store.delete('k')
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 'azure', reason: 'RETENTION' })
  expect(await store.get('k')).toBeUndefined()
  await container.getBlobClient('k').delete({ deleteSnapshots: 'only' })
  await store.blocked.retry()
  await store.drain({ until: 'verified' })
  expect(await keysOf(provider)).toEqual([])
})

test('an append blob in the place of ours is told as foreign, replaced by what is newer, and its time decides (A12, I17)', async () => {
  await using directory = await testDirectory()
  const provider = azures()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await eventually(async () => (await store.status()).providers[0]?.state === 'up', 30_000)
  const theirs = container.getAppendBlobClient('k')
  await theirs.create()
  await theirs.appendBlock('theirs', 6)
  expect(await (await store.get('k'))?.text()).toBe('theirs')
  await new Promise(resolve => setTimeout(resolve, 1_100))
  await store.put('k', 'ours')
  await store.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('ours')
})

test('a container that is deleted, and made again by somebody else, is given nothing (A8, I14, I28)', async () => {
  await using directory = await testDirectory()
  const provider = azures()
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  await store.put('before', 'was there')
  await store.drain({ until: 'verified' })
  await container.delete()
  await store.put('k', 'body')
  await eventually(async () => (await store.status()).providers[0]?.reason === 'BUCKET', 20_000)
  await expect(store.get('never was')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await container.create()
  proxy.requests.length = 0
  await eventually(async () => (await store.status()).providers[0]?.reason === 'IDENTITY', 20_000)
  expect(await (await store.get('before'))?.text()).toBe('was there')
  expect(proxy.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD')).toEqual([])
  expect(await keysOf(other)).toEqual(['before', 'k'])
}, 60_000)

test('blocks that the service dropped half-way, or that another write took along, are sent again, and the blob is never a mixture (A3, A4, I15)', async () => {
  await using directory = await testDirectory()
  const provider = azures()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await eventually(async () => (await store.status()).providers[0]?.state === 'up', 30_000)
  const body = Buffer.alloc(4 * mebibyte, 'holdfast')
  let dropped = false
  proxy.rule = ({ method, url }) => {
    // Whatever is put whole under the name takes the blocks away that are not put together yet.
    if (method !== 'PUT' || !url.includes('comp=blocklist') || dropped) return undefined
    dropped = true
    return { passes: false, tells: azureRefusal(400, 'InvalidBlockList') }
  }
  await store.put('large', body)
  await store.drain({ until: 'verified' })
  expect(dropped).toBe(true)
  expect((await bodyAt(provider, 'large'))?.equals(body)).toBe(true)
})

test('a SAS that ended blocks the provider; opened with a new one the store goes on where it was (A7, P1, I33)', async () => {
  await using directory = await testDirectory()
  const provider = azures()
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  await store.put('before', 'was there')
  await store.drain({ until: 'verified' })
  await store.close()
  const sas = async (endsInMs: number): Promise<string> => {
    const { ContainerSASPermissions } = await import('@azure/storage-blob')
    const url = await container.generateSasUrl({
      permissions: ContainerSASPermissions.parse('racwdl'),
      startsOn: new Date(Date.now() - 3_600_000),
      expiresOn: new Date(Date.now() + endsInMs),
    })
    return new URL(url).search.slice(1)
  }
  const by = (sasToken: string): Provider => {
    const { accountName } = azurite
    const endpoint = `${proxy.endpoint}/${accountName}`
    return azure({ container: container.containerName, name: 'azure', endpoint, accountName, sasToken })
  }
  const late = await directory.open([by(await sas(-60_000)), other])
  await late.put('k', 'body')
  await eventually(async () => (await late.status()).blocked.reasons.some(({ reason }) => reason === 'CREDENTIALS'))
  await late.close()
  const again = await directory.open([by(await sas(3_600_000)), other])
  // What was known of it is believed until it is asked again.
  await eventually(async () => (await again.status()).providers[0]?.state === 'up', 30_000)
  await again.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('body')
})

test('what was moved to the archive is read from the other cloud, and not brought back (A9, P4)', async () => {
  await using directory = await testDirectory()
  const provider = azures()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  await eventually(async () => (await store.status()).stage.bytes === 0)
  for (const code of ['BlobArchived', 'BlobBeingRehydrated']) {
    proxy.rule = ({ method, url }) =>
      method === 'GET' && url.endsWith('/k') ? { passes: false, tells: azureRefusal(409, code) } : undefined
    proxy.requests.length = 0
    const found = await store.get('k')
    expect([await found?.text(), found?.from]).toEqual(['body', 'other'])
    expect(proxy.requests.filter(({ method }) => method === 'PUT')).toEqual([])
  }
})
