import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { paginateListObjectsV2, waitUntilObjectExists, waitUntilObjectNotExists } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { expect, test } from 'vitest'
import { testDirectory } from '../support/store.ts'
import { bucket, configOf, startWorld } from './world.ts'

test('with both clouds gone, what was just put is read, looked at and listed, and an Upload of parts ends', async () => {
  await using world = await startWorld({ store: { reads: { firstByteMs: 300 } } })
  const { s3 } = world
  await world.store.check()
  await world.first.fault({ fault: { kind: 'reset' } })
  await world.second.fault({ fault: { kind: 'reset' } })
  const { ETag } = await s3.putObject({
    Bucket: bucket,
    Key: 'a',
    Body: 'during the outage',
    ContentType: 'text/plain',
  })
  const got = await s3.getObject({ Bucket: bucket, Key: 'a' })
  expect(await got.Body?.transformToString()).toBe('during the outage')
  expect(await s3.headObject({ Bucket: bucket, Key: 'a' })).toMatchObject({
    ETag,
    ContentType: 'text/plain',
    ContentLength: 17,
  })
  const { Contents } = await s3.listObjectsV2({ Bucket: bucket })
  expect(Contents?.map(({ Key }) => Key)).toEqual(['a'])
  const Body = Buffer.alloc(6 * 1024 * 1024, 'p')
  const uploaded = await new Upload({ client: s3, params: { Bucket: bucket, Key: 'large', Body } }).done()
  expect(uploaded.ETag).toMatch(/-2"$/)
  const large = await s3.getObject({ Bucket: bucket, Key: 'large' })
  expect(Body.equals((await large.Body?.transformToByteArray()) as Uint8Array)).toBe(true)
  await world.first.heal()
  await world.second.heal()
  await world.store.drain()
  const keys: (string | undefined)[] = []
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 1 }, { Bucket: bucket }))
    keys.push(...(page.Contents ?? []).map(({ Key }) => Key))
  expect(keys).toEqual(['a', 'large'])
})

test('paginators, waiters and lib-storage take the wrapped client as they take any', async () => {
  await using world = await startWorld()
  const { s3 } = world
  await new Upload({ client: s3, params: { Bucket: bucket, Key: 'dir/small', Body: 'small' } }).done()
  await s3.putObject({ Bucket: bucket, Key: 'dir/second', Body: 'x' })
  await s3.putObject({ Bucket: bucket, Key: 'top', Body: 'x' })
  const pages = []
  for await (const page of s3.paginateListObjectsV2({ Bucket: bucket, Delimiter: '/', MaxKeys: 1 })) pages.push(page)
  expect(pages.flatMap(({ CommonPrefixes = [] }) => CommonPrefixes.map(({ Prefix }) => Prefix))).toEqual(['dir/'])
  expect(pages.flatMap(({ Contents = [] }) => Contents.map(({ Key }) => Key))).toEqual(['top'])
  const waiting = { client: s3, maxWaitTime: 10, minDelay: 1, maxDelay: 1 }
  const exists = waitUntilObjectExists(waiting, { Bucket: bucket, Key: 'later' })
  await s3.putObject({ Bucket: bucket, Key: 'later', Body: 'x' })
  expect((await exists).state).toBe('SUCCESS')
  await s3.deleteObject({ Bucket: bucket, Key: 'later' })
  expect((await waitUntilObjectNotExists(waiting, { Bucket: bucket, Key: 'later' })).state).toBe('SUCCESS')
})

test('a process that never closes anything ends when it has nothing more to do', async () => {
  await using world = await startWorld()
  await using directory = await testDirectory()
  const hooks = new URL('../support/from-source.ts', import.meta.url).pathname
  const program = new URL('child.ts', import.meta.url).pathname
  const config = JSON.stringify([world.first, world.second].map(configOf))
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['--import', hooks, program, directory.path, config], {
    timeout: 20_000,
  })
  expect(stdout.trim()).toBe('kept')
})
