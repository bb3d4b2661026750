import { expect, test } from 'vitest'
import { attributesOf } from '../../src/core/attributes.ts'
import { recognise } from '../../src/core/entry.ts'
import type { Provider } from '../../src/core/provider.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { bodyAt, keysOf, testDirectory } from '../support/store.ts'
import { attended, lose, never, plant, reconciled, version } from './scene.ts'

const bucket = 'photos'
const ours = { id: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }

function amazon({ endpoint }: LocalCloud, prefix?: string): Provider {
  const credentials = { accessKeyId: ours.id, secretAccessKey: ours.secret }
  const where = { bucket, endpoint, region: 'us-east-1', forcePathStyle: true, name: 's3' }
  return s3({ ...where, credentials, ...(prefix === undefined ? {} : { prefix }) })
}

function google({ endpoint }: LocalCloud): Provider {
  return gcs({ bucket, name: 'gcs', apiEndpoint: endpoint, projectId: 'test' })
}

/** Requests that change something, what Holdfast keeps for itself left out. */
async function changes(clouds: readonly LocalCloud[]): Promise<string[]> {
  const all = await Promise.all(clouds.map(cloud => cloud.requests({ reset: true })))
  return all
    .flat()
    .filter(
      ({ method, url }) => method !== 'GET' && method !== 'HEAD' && !decodeURIComponent(url).includes('.holdfast/'),
    )
    .map(({ method, operation, url }) => `${method} ${operation} ${url}`)
}

test('S3 and GCS: equal by listings alone, repaired both ways, foreign objects mirrored, deletes carried out', async () => {
  await using s = await startLocalS3({ buckets: [bucket], credentials: ours })
  await using g = await startLocalGcs({ buckets: [bucket] })
  const providers: [Provider, Provider] = [amazon(s), google(g)]
  await using directory = await testDirectory()
  const store = await directory.open(providers)
  const keys = ['a', 'b/ü', 'b/z', 'deleted', 'older', 'zz']
  await Promise.all(
    keys.map(key => store.put(key, `body of ${key}`, { contentType: 'text/plain', metadata: { n: key } })),
  )
  await store.drain({ until: 'verified' })
  await changes([s, g])

  const same = await reconciled(store)
  expect(same.drift).toEqual([])
  expect(same.counters).toMatchObject({ compared: 6, asked: 2, guard: undefined })
  expect((await reconciled(store, { attributes: true, deep: true })).drift).toEqual([])
  expect(await changes([s, g])).toEqual([])

  const [first, second] = providers
  await lose(first, 'a')
  await lose(second, 'b/ü')
  await plant(second, 'older', { body: 'old', version: version(Date.now() - 3_600_000) })
  await plant(first, 'theirs', { body: 'of others', contentType: 'image/png', metadata: { by: 'anna' } })
  await store.delete('deleted')
  await store.drain({ until: 'verified' })
  await plant(second, 'deleted', { version: version(Date.now() - 3_600_000) })
  const kinds = (await reconciled(store)).drift.map(({ key, kind }) => `${kind} ${key}`)
  expect(kinds).toEqual(['missing a', 'missing b/ü', 'deleted deleted', 'different older', 'foreign theirs'])
  const { counters } = await reconciled(store, { repair: true })
  expect(counters).toMatchObject({ queued: 5, impossible: 0, unknown: 0 })
  await store.drain({ until: 'verified' })

  for (const provider of providers) expect(await keysOf(provider)).toEqual(['a', 'b/z', 'b/ü', 'older', 'theirs', 'zz'])
  for (const key of ['a', 'b/ü', 'older', 'theirs']) {
    const [x, y] = await Promise.all(providers.map(provider => provider.head(key, never)))
    if (x === undefined || y === undefined) throw new Error(`${key} is not at both`)
    expect(recognise(y).version, key).toBe(recognise(x).version)
    expect(attributesOf(y), key).toEqual(attributesOf(x))
    expect(await bodyAt(second, key)).toEqual(await bodyAt(first, key))
  }
  for (const options of [{}, { attributes: true }, { deep: true, repair: true }])
    expect((await reconciled(store, options)).drift).toEqual([])
})

test('P6, I14, I28: emptied, made anew, of another account, gone, another prefix: nothing is written, and it says why', async () => {
  let s = await startLocalS3({ buckets: [bucket], credentials: ours })
  await using g = await startLocalGcs({ buckets: [bucket] })
  const { port } = s
  await using directory = await testDirectory()
  try {
    const store = await directory.open([amazon(s), google(g)])
    await Promise.all(['a', 'b', 'c'].map(key => store.put(key, key)))
    await store.drain({ until: 'verified' })
    const repair = (confirm = false) => store.reconcile({ repair: true, confirm })
    const again = async (options: Parameters<typeof startLocalS3>[0]) => {
      await s.stop()
      s = await startLocalS3({ port, credentials: ours, ...options })
      await changes([g])
    }

    for (const key of ['a', 'b', 'c']) await lose(amazon(s), key)
    await changes([s, g])
    await expect(repair()).rejects.toMatchObject({ code: 'BLOCKED', field: 'guard', rule: 'empty', provider: 's3' })
    expect(await changes([s, g])).toEqual([])

    await again({ buckets: [bucket] })
    await expect(repair(true)).rejects.toMatchObject({
      code: 'BLOCKED',
      field: 'guard',
      rule: 'identity',
      provider: 's3',
    })
    expect((await reconciled(store)).counters.guard).toMatchObject({ rule: 'identity' })
    expect(await changes([s, g])).toEqual([])

    await again({ buckets: [] })
    await expect(repair(true)).rejects.toMatchObject({ code: 'DENIED', reason: 'BUCKET', provider: 's3' })
    expect(await changes([s, g])).toEqual([])

    await again({ buckets: [bucket], credentials: { id: 'AKIAOTHER', secret: 'other' } })
    await expect(repair(true)).rejects.toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS', provider: 's3' })
    expect(await changes([s, g])).toEqual([])
    await store.close()

    await again({ buckets: [bucket] })
    const elsewhere = await directory.open([amazon(s, 'wrong/'), google(g)])
    await attended(elsewhere)
    await changes([s, g])
    await expect(elsewhere.reconcile({ repair: true })).rejects.toMatchObject({
      field: 'guard',
      rule: 'empty',
      provider: 's3',
    })
    expect(await changes([s, g])).toEqual([])
    expect(await keysOf(google(g))).toEqual(['a', 'b', 'c'])
  } finally {
    await s.stop()
  }
})
