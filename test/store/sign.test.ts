import { afterAll, beforeAll, expect, test } from 'vitest'
import { gcs } from '../../src/providers/gcs.ts'
import { bucket, providersOf, type Started, startClouds } from '../support/clouds.ts'
import { testDirectory } from '../support/store.ts'

let started: Started
beforeAll(async () => {
  started = await startClouds()
})
afterAll(() => started[Symbol.asyncDispose]())

/** Both can sign. */
function signing() {
  const { id, secret } = started.gcs.credentials
  const credentials = { client_email: id, private_key: secret }
  return [
    providersOf(started.clouds)[0],
    gcs({ bucket, name: 'gcs', apiEndpoint: started.gcs.endpoint, projectId: 'test', credentials }),
  ] as const
}
const upload = { method: 'PUT', expiresInSeconds: 60 } as const

test('a provider that is named by except is not signed for; with all of them left out nobody can', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([...signing()])
  await (await store.put('a', 'learn what they can')).replicated()
  expect((await store.signedUrl('k', upload)).provider).toBe('s3')
  expect((await store.signedUrl('k', { ...upload, except: ['s3'] })).provider).toBe('gcs')
  await expect(store.signedUrl('k', { ...upload, except: ['s3', 'gcs'] })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('s3 is left out by except; gcs is left out by except'),
  })
})

test('a process that does not replicate signs by what the one that does has learnt of a service', async () => {
  await using directory = await testDirectory()
  const replicating = await directory.open([...signing()])
  await (await replicating.put('a', 'learn what they can')).replicated()
  await replicating.close()
  const accepting = await directory.open([...signing()], { replication: { run: 'external' } })
  const signed = await accepting.signedUrl('k', upload)
  expect(signed).toMatchObject({ provider: 's3', headers: { 'if-none-match': '*' } })
  const sent = { method: 'PUT', headers: signed.headers, body: 'from elsewhere' }
  expect((await fetch(signed.url, sent)).status).toBe(200)
  expect((await fetch(signed.url, sent)).status).toBe(412)
})
