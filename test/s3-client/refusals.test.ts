import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { withHoldfast } from '../../src/s3-client/index.ts'
import { bucket, other, refusal, startWorld, type World } from './world.ts'

// Calls that S3 refuses, and those whose object was another a moment before.

let world: World
beforeAll(async () => {
  world = await startWorld({ store: { holdMs: 0 } })
  await world.s3.putObject({ Bucket: bucket, Key: 'hello', Body: 'hello' })
})
afterAll(() => world[Symbol.asyncDispose]())

const untyped = (given: object): never => given as never
const is = (name: string, httpStatusCode: number, more: object = {}) => ({
  name,
  $metadata: { httpStatusCode },
  ...more,
})

/** The store, and what another writer does right before each call of one of its methods. */
function justBefore(store: Holdfast, method: 'copy' | 'get', act: () => Promise<unknown>): Holdfast {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      const bound = value.bind(target) as (...given: unknown[]) => unknown
      return name === method ? async (...given: unknown[]) => (await act(), await bound(...given)) : bound
    },
  })
}

const wrapped = (store: Holdfast) => withHoldfast(world.client(), { [bucket]: store })

describe('what S3 refuses is refused in its words', () => {
  test('attributes that no object has, or none', async () => {
    const ask = (ObjectAttributes: string[]) =>
      refusal(world.s3.getObjectAttributes(untyped({ Bucket: bucket, Key: 'hello', ObjectAttributes })))
    const refused = is('InvalidArgument', 400, { message: 'Invalid attribute name specified' })
    expect(await ask(['ETag', 'Colour'])).toMatchObject({ ...refused, ArgumentValue: 'ETag,Colour' })
    expect(await ask([])).toMatchObject(refused)
  })

  test('a range and a part in one read', async () => {
    const both = { Bucket: bucket, Key: 'hello', Range: 'bytes=0-1', PartNumber: 1 }
    const refused = is('InvalidRequest', 400, {
      message: 'Cannot specify both Range header and partNumber query parameter',
    })
    expect(await refusal(world.s3.getObject(both))).toMatchObject(refused)
    expect(await refusal(world.s3.headObject(both))).toMatchObject(refused)
  })

  test('a directive that there is none of', async () => {
    const copy = (more: object) =>
      refusal(world.s3.copyObject(untyped({ Bucket: bucket, Key: 'copy', CopySource: `${bucket}/hello`, ...more })))
    const refused = is('InvalidArgument', 400, { message: 'Unknown metadata directive.', ArgumentValue: 'MERGE' })
    expect(await copy({ MetadataDirective: 'MERGE' })).toMatchObject(refused)
    expect(await copy({ TaggingDirective: 'MERGE' })).toMatchObject(refused)
    expect(await world.store.head('copy')).toBeUndefined()
  })

  test('a page of no whole number of keys', async () => {
    for (const MaxKeys of [1.5, Number.NaN])
      expect(await refusal(world.s3.listObjectsV2({ Bucket: bucket, MaxKeys }))).toMatchObject(
        is('InvalidArgument', 400, { ArgumentName: 'max-keys', ArgumentValue: String(MaxKeys) }),
      )
  })

  test('a delete of whatever is there, where nothing is', async () => {
    await world.store.put('whatever', 'x')
    const whatever = { Bucket: bucket, Key: 'whatever', IfMatch: '*' }
    await world.s3.deleteObject(whatever)
    expect(await world.store.head('whatever')).toBeUndefined()
    expect(await refusal(world.s3.deleteObject(whatever))).toMatchObject(is('NoSuchKey', 404))
  })

  test('a key of encryption for a source that a store has, where it is copied to a bucket without one', async () => {
    const sent: string[] = []
    const client = world.client()
    client.middlewareStack.add(
      (next, { commandName }) =>
        args => (sent.push(String(commandName)), next(args)),
      { step: 'build' },
    )
    const s3 = withHoldfast(client, { [bucket]: world.store })
    const copy = { Bucket: other, Key: 'out', CopySource: `${bucket}/hello`, CopySourceSSECustomerAlgorithm: 'AES256' }
    const refused = is('NotImplemented', 501, { Header: 'CopySourceSSECustomerAlgorithm' })
    expect(await refusal(s3.copyObject(copy))).toMatchObject(refused)
    expect(await refusal(s3.uploadPartCopy({ ...copy, UploadId: 'any', PartNumber: 1 }))).toMatchObject(refused)
    expect(sent).toEqual([])
  })
})

describe('an object that another writer changes', () => {
  test('after it was looked at is not copied: gone, it is no key; replaced, the copy is a conflict', async () => {
    await world.store.put('from', 'first')
    const copy = { Bucket: bucket, Key: 'to', CopySource: `${bucket}/from` }
    const replaced = wrapped(justBefore(world.store, 'copy', () => world.store.put('from', 'other')))
    expect(await refusal(replaced.copyObject(copy))).toMatchObject(is('ConditionalRequestConflict', 409))
    const gone = wrapped(justBefore(world.store, 'copy', () => world.store.delete('from')))
    expect(await refusal(gone.copyObject(copy))).toMatchObject(is('NoSuchKey', 404, { Key: 'from' }))
    expect(await world.store.head('to')).toBeUndefined()
  })

  test('again and again between the look at it and its bytes is given up after a few, and given if it is left alone', async () => {
    let count = 0
    const change = async () => ++count < 3 && (await world.store.put('busy', `body ${count}`))
    const always = wrapped(justBefore(world.store, 'get', () => world.store.put('busy', `body ${++count}`)))
    await world.store.put('busy', 'body')
    expect(await refusal(always.getObject({ Bucket: bucket, Key: 'busy', PartNumber: 1 }))).toMatchObject(
      is('InternalError', 500, { message: 'busy was replaced again and again while it was read' }),
    )
    expect(count).toBe(3)
    count = 0
    const { Body } = await wrapped(justBefore(world.store, 'get', change)).getObject({
      Bucket: bucket,
      Key: 'busy',
      PartNumber: 1,
    })
    expect(await Body?.transformToString()).toBe('body 2')
  })
})

test('a copy whose tags nobody can be asked for is refused, and says how it can be made', async () => {
  await world.s3.putObject({ Bucket: bucket, Key: 'tagged', Body: 'a', Tagging: 'kind=cat' })
  await world.store.drain()
  const silent = await world.first.fault({
    match: { operation: 'GetObjectTagging' },
    fault: { kind: 'status', status: 503 },
  })
  const s3 = withHoldfast(world.client({ maxAttempts: 1 }), { [bucket]: world.store })
  const copy = { Bucket: bucket, Key: 'without', CopySource: `${bucket}/tagged` }
  const refused = await refusal(s3.copyObject(copy))
  expect(refused).toMatchObject(is('ServiceUnavailable', 503))
  expect(refused.message).toContain("relax: ['Tagging']")
  expect(await world.store.head('without')).toBeUndefined()
  await s3.copyObject({ ...copy, TaggingDirective: 'REPLACE' })
  expect((await world.store.head('without'))?.size).toBe(1)
  await world.first.heal(silent)
})
