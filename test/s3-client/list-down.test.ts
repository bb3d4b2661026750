import { expect, test } from 'vitest'
import { bucket, startWorld, type World } from './world.ts'

const reads = { firstByteMs: 300 }
const refused = { name: 'ServiceUnavailable', $metadata: { httpStatusCode: 503 } }

async function put(world: World, keys: readonly string[]): Promise<void> {
  for (const Key of keys) await world.s3.putObject({ Bucket: bucket, Key, Body: Key })
}

async function cut(world: World): Promise<void> {
  await world.first.fault({ fault: { kind: 'reset' } })
  await world.second.fault({ fault: { kind: 'reset' } })
}

test('with both clouds down, what was just written is listed page by page, and the store tells of it', async () => {
  await using world = await startWorld({ store: { reads } })
  const told: string[] = []
  world.store.on('partial', ({ prefix }) => void told.push(prefix))
  await cut(world)
  await put(world, ['a', 'b/1', 'b/2', 'c', 'd'])
  const pages = []
  for await (const page of world.s3.paginateListObjectsV2({ Bucket: bucket, Delimiter: '/', MaxKeys: 2 }))
    pages.push(page)
  expect(pages.flatMap(({ Contents = [] }) => Contents.map(({ Key }) => Key))).toEqual(['a', 'c', 'd'])
  expect(pages.flatMap(({ CommonPrefixes = [] }) => CommonPrefixes.map(({ Prefix }) => Prefix))).toEqual(['b/'])
  expect(pages).toHaveLength(2)
  const first = await world.s3.listObjects({ Bucket: bucket, Prefix: 'b/' })
  expect(first.Contents?.map(({ Key }) => Key)).toEqual(['b/1', 'b/2'])
  expect(told).toEqual(['', '', 'b/'])
})

test('a listing that a cloud began is not ended with what is on local disk, and nothing is no listing', async () => {
  await using world = await startWorld({ store: { reads, holdMs: 0 } })
  await put(world, ['a', 'b', 'c'])
  await world.store.drain({ until: 'verified' })
  const begun = await world.s3.listObjectsV2({ Bucket: bucket, MaxKeys: 1 })
  await cut(world)
  await put(world, ['z'])
  const { NextContinuationToken: ContinuationToken } = begun
  await expect(world.s3.listObjectsV2({ Bucket: bucket, ContinuationToken })).rejects.toMatchObject(refused)
  await expect(world.s3.listObjects({ Bucket: bucket, Marker: 'a' })).rejects.toMatchObject(refused)
  await expect(world.s3.listObjectsV2({ Bucket: bucket, Prefix: 'a' })).rejects.toMatchObject(refused)
  const after = await world.s3.listObjectsV2({ Bucket: bucket })
  expect(after.Contents?.map(({ Key }) => Key)).toEqual(['z'])
})

test("listWhenDown: 'fail' answers no listing that may not be whole", async () => {
  await using world = await startWorld({ store: { reads }, wrap: { listWhenDown: 'fail' } })
  await cut(world)
  await put(world, ['a'])
  await expect(world.s3.listObjectsV2({ Bucket: bucket })).rejects.toMatchObject(refused)
})
