import { BlobServiceClient } from '@azure/storage-blob'
import { describe, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { azure } from '../../src/providers/azure.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { startAzurite } from '../servers/azurite.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'
import { type FaultProxy, type Passing, startProxy } from './proxy.ts'

interface World extends AsyncDisposable {
  readonly provider: Provider
  readonly proxy: FaultProxy
}

async function world(server: AsyncDisposable, to: string, open: (at: string) => Provider): Promise<World> {
  const proxy = await startProxy(to)
  return {
    proxy,
    provider: open(proxy.endpoint),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

const worlds: Readonly<Record<string, () => Promise<World>>> = {
  'S3 (S13, N6, I15)': async () => {
    const cloud = await startLocalS3({ buckets: ['main'] })
    const { id: accessKeyId, secret: secretAccessKey } = cloud.credentials
    const credentials = { accessKeyId, secretAccessKey }
    return world(cloud, cloud.endpoint, endpoint => s3({ bucket: 'main', endpoint, credentials }))
  },
  'Google (G2, G3, N6, I15)': async () => {
    const cloud = await startLocalGcs({ buckets: ['main'] })
    return world(cloud, cloud.endpoint, apiEndpoint => gcs({ bucket: 'main', apiEndpoint, projectId: 'any' }))
  },
  'Azure (A2, N6, I15)': async () => {
    const azurite = await startAzurite()
    await BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient('main').create()
    const { accountName, accountKey } = azurite
    return world(azurite, azurite.endpoint, at =>
      azure({ container: 'main', endpoint: `${at}/${accountName}`, accountName, accountKey }),
    )
  },
}

/** A put of an app's key, however the service takes it. */
function isPutOf(key: string, { method, url }: Passing): boolean {
  if (method === 'PUT') return new URL(url, 'http://x').pathname.endsWith(`/main/${key}`)
  return method === 'POST' && new URL(url, 'http://x').searchParams.get('name') === key
}

describe.each(Object.entries(worlds))('an answer that is lost after the work was done, at %s', (_what, open) => {
  test('of a new object, a replacement and a delete: each is done once, found done, and nothing stays open', async () => {
    await using at = await open()
    await using directory = await testDirectory()
    const { provider, proxy } = at
    const store = await directory.open([provider, memory({ name: 'other' })])
    await eventually(async () => (await store.status()).providers[0]?.state === 'up', 30_000)
    let lost = 0
    const lose = (isMeant: (passing: Passing) => boolean) => {
      let times = 0
      proxy.rule = passing => {
        if (!isMeant(passing) || times++ > 0) return undefined
        lost++
        return { tells: 'nothing' }
      }
    }
    const puts = () => proxy.requests.filter(passing => isPutOf('k', passing)).length

    lose(passing => isPutOf('k', passing))
    await store.put('k', 'first')
    await store.drain({ until: 'verified' })
    expect([lost, puts()]).toEqual([1, 1])

    lose(passing => isPutOf('k', passing))
    await store.put('k', 'second')
    await store.drain({ until: 'verified' })
    expect([lost, puts()]).toEqual([2, 2])
    expect((await bodyAt(provider, 'k'))?.toString()).toBe('second')

    lose(({ method, url }) => method === 'DELETE' && /\/main\/(o\/)?k$/.test(new URL(url, 'http://x').pathname))
    await store.delete('k')
    await store.drain({ until: 'verified' })
    expect(lost).toBe(3)
    expect(await keysOf(provider)).toEqual([])

    lose(passing => isPutOf('k', passing))
    const { version } = await store.put('k', 'only once', { if: 'absent' })
    expect((await store.head('k'))?.version).toBe(version)
    await store.drain({ until: 'verified' })
    expect([lost, puts()]).toEqual([4, 3])
    expect((await bodyAt(provider, 'k'))?.toString()).toBe('only once')
  }, 60_000)
})
