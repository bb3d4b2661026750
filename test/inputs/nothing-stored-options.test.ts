import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { azure } from '../../src/providers/azure.ts'
import { fs } from '../../src/providers/fs.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { s3 } from '../../src/providers/s3.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { testDirectory } from '../support/store.ts'
import { expectRefusal, type Refused, rejection, unread } from './nothing-stored.ts'
import { provider as like } from './support.ts'

/** Options that are wrong are refused before anything is made on disk; a store in the wrong state refuses unread. */

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-options-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
const usual = () => ({ directory: join(root, 'deep', 'store'), primary: a, secondary: b })

/** Rejects as it is to, and nothing is made. */
async function refuses(more: object, refused: Refused): Promise<void> {
  const error = await rejection(() => openHoldfast({ ...usual(), ...more }))
  expectRefusal(error, refused)
  expect(await readdir(root)).toEqual([])
}

async function refusesType(options: unknown, says: RegExp): Promise<void> {
  const error = await rejection(() => openHoldfast(options as never))
  expect(error).toBeInstanceOf(TypeError)
  expect((error as TypeError).message).toMatch(says)
  expect(await readdir(root)).toEqual([])
}

const refused = (field: string, rule: string, says: Refused['says']): Refused => ({ field, rule, says })
const range = (field: string, got: string): Refused => refused(field, 'range', [`${field} must be`, `got ${got}`])

describe('options of openHoldfast that are INVALID', () => {
  const table: Readonly<Record<string, [more: object, refused: Refused]>> = {
    'no primary': [{ primary: undefined }, refused('primary', 'missing', 'such as s3({ bucket })')],
    'no secondary': [{ secondary: undefined }, refused('secondary', 'missing', 'secondary is missing')],
    'one provider twice': [{ secondary: a }, refused('secondary', 'duplicate', 'the same place')],
    'one place under two names': [
      { secondary: like({ name: 'other', location: a.location }) },
      refused('secondary', 'duplicate', [a.location, 'primary']),
    ],
    'a place within the other': [
      { secondary: prefixed(a, 'photos/', { name: 'inside' }) },
      refused('secondary', 'overlap', 'overlap'),
    ],
    'overlapping prefixes': [
      { primary: prefixed(a, 'p/', { name: 'p' }), secondary: prefixed(a, 'p/q/', { name: 'q' }) },
      refused('secondary', 'overlap', [`"${a.location}/p/q/"`, `"${a.location}/p/"`]),
    ],
    'two providers of one name': [
      { secondary: like({ name: 'a', location: 'elsewhere' }) },
      refused('secondary', 'name', 'both called "a"'),
    ],
    'a provider called local': [{ primary: memory({ name: 'local' }) }, refused('primary', 'name', 'the local disk')],
    'mirrors that are no array': [{ mirrors: a }, refused('mirrors', 'type', 'must be an array of providers')],
    'a mirror that is the primary': [{ mirrors: [a] }, refused('mirrors[0]', 'duplicate', 'the same place')],
    'a misspelt name': [{ secondry: b }, refused('secondry', 'unknown', 'did you mean secondary?')],
    'a name of another library': [{ partSize: 5 }, refused('partSize', 'unknown', 'no option "partSize"')],
    'a misspelt name further in': [
      { reads: { idleMS: 5 } },
      refused('reads.idleMS', 'unknown', 'did you mean idleMs?'),
    ],
    'a negative hold': [{ holdMs: -1 }, range('holdMs', '-1')],
    'a hold longer than markers are kept': [
      { tombstoneDays: 1, holdMs: 86_400_000 },
      refused('holdMs', 'range', ['43200000', 'got 86400000']),
    ],
    'a hold that is no number': [{ holdMs: '15m' }, refused('holdMs', 'type', 'got "15m"')],
    'no stage at all': [{ maxStageBytes: 0 }, range('maxStageBytes', '0')],
    'more held than staged': [
      { maxStageBytes: 100, maxHeldBytes: 101 },
      refused('maxHeldBytes', 'range', 'maxHeldBytes 101 is more than maxStageBytes, 100'),
    ],
    'a negative cache': [{ cacheBytes: -1 }, range('cacheBytes', '-1')],
    'no time to acknowledge': [{ ackTimeoutMs: Number.NaN }, range('ackTimeoutMs', 'NaN')],
    'a level that there is not': [{ ack: 'both' }, refused('ack', 'value', '"both"')],
    'a disk that there is not': [{ disk: 'ssd' }, refused('disk', 'value', ['"durable" or "ephemeral"', '"ssd"'])],
    'markers kept for no time': [{ tombstoneDays: 0 }, range('tombstoneDays', '0')],
    'what to do with foreign objects': [{ foreign: 'delete' }, refused('foreign', 'value', '"adopt" or "report"')],
    'nothing at a time': [{ replication: { concurrency: 0 } }, range('replication.concurrency', '0')],
    'NaN at a time': [{ replication: { concurrency: Number.NaN } }, range('replication.concurrency', 'NaN')],
    'a billion at a time': [{ replication: { concurrency: 1e9 } }, range('replication.concurrency', '1000000000')],
    'no requests a second': [
      { replication: { maxRequestsPerSecond: 0 } },
      refused('replication.maxRequestsPerSecond', 'range', 'got 0'),
    ],
    'replication elsewhere': [
      { replication: { run: 'there' } },
      refused('replication.run', 'value', '"here" or "external"'),
    ],
    'reads that are no object': [{ reads: 5 }, refused('reads', 'type', 'reads must be an object, got 5')],
    'no patience': [{ reads: { firstByteMs: 0 } }, range('reads.firstByteMs', '0')],
    'an absence that there is not': [{ reads: { absence: 'primary' } }, refused('reads.absence', 'value', '"primary"')],
    'a word for a flag': [{ reads: { allowStale: 'yes' } }, refused('reads.allowStale', 'type', 'true or false')],
    'keys of another kind': [{ keys: 'loose' }, refused('keys', 'value', '"strict" or "encode"')],
    'no directory': [{ directory: undefined }, refused('directory', 'missing', 'an absolute path')],
    'a directory that is no text': [{ directory: 5 }, refused('directory', 'type', 'an absolute path, got 5')],
    'an empty directory': [{ directory: '' }, refused('directory', 'type', 'got ""')],
    'a relative directory': [{ directory: 'store' }, refused('directory', 'relative', 'got "store"')],
    'a home that nobody expands': [{ directory: '~/store' }, refused('directory', 'relative', 'got "~/store"')],
    'the root': [{ directory: '/' }, refused('directory', 'root', 'the root of the file system')],
    'the root in other words': [{ directory: '/var/../' }, refused('directory', 'root', 'the root')],
    'a NUL in the directory': [{ directory: '/var/\0' }, refused('directory', 'unicode', '"/var/\\u0000"')],
  }
  for (const [what, [more, expected]] of Object.entries(table))
    test(`${what}: ${expected.field} ${expected.rule}`, () => refuses(more, expected))
})

describe('options of openHoldfast of a wrong JavaScript type', () => {
  const table: Readonly<Record<string, [options: () => unknown, says: RegExp]>> = {
    'no options': [() => undefined, /^openHoldfast needs options: directory, primary and secondary/],
    'a path': [() => '/var/lib/store', /^the options of openHoldfast must be an object, got "\/var/],
    'an array': [() => [], /must be an object, got an array/],
    'a primary that is a name': [() => ({ ...usual(), primary: 's3' }), /^primary must be a provider.* got "s3"/],
    'a provider that was not called': [() => ({ ...usual(), secondary: memory }), /got a function \(call it\)/],
    'a mirror that is none': [() => ({ ...usual(), mirrors: [{}] }), /^mirrors\[0\] must be a provider/],
    'a provider without limits': [() => ({ ...usual(), primary: { ...a, limits: {} } }), /cannot be read|no limits/],
  }
  for (const [what, [options, says]] of Object.entries(table))
    test(`${what}: TypeError`, () => refusesType(options(), says))
})

describe('a directory and the root of a provider in it, or around it', () => {
  const overlap = (field: string): Refused =>
    refused('directory', 'overlap', [`the root of ${field}`, 'put them side by side'])

  test('the store in the root of the primary', () =>
    refuses({ primary: fs({ root: join(root, 'deep') }) }, overlap('primary')))
  test('the root of the secondary in the store', () =>
    refuses({ secondary: fs({ root: join(root, 'deep', 'store', 'objects') }) }, overlap('secondary')))
  test('the two the same, however they are spelled', () =>
    refuses({ secondary: fs({ root: join(root, 'deep', 'x', '..', 'store') }) }, overlap('secondary')))
  test('a mirror, behind a wrapper', () =>
    refuses({ mirrors: [faulty(fs({ root: join(root, 'deep'), name: 'm' }), {})] }, overlap('mirrors[0]')))
  test('side by side, with names that begin alike, is taken', async () => {
    await using directory = await testDirectory()
    const objects = `${directory.path}-objects`
    await mkdir(objects)
    const store = await directory.open([fs({ root: objects }), memory({ name: 'b' })])
    await store.put('k', 'x', { ack: 'all' })
  })
})

describe('options of providers that are refused where the provider is made', () => {
  const keys = { accessKeyId: 'id', secretAccessKey: 'secret' }
  const invalid = (field: string, rule: string, says: Refused['says']): Refused => refused(field, rule, says)
  const table: Readonly<Record<string, [make: () => Provider, refused: Refused]>> = {
    'an S3 part of 1 byte': [() => s3({ bucket: 'photos', partSize: 1 }), invalid('partSize', 'range', 'got 1')],
    'an S3 part of 6 GiB': [
      () => s3({ bucket: 'photos', partSize: 6 * 2 ** 30 }),
      invalid('partSize', 'range', '5242880 to 5368709120'),
    ],
    'an S3 endpoint in the clear': [
      () => s3({ bucket: 'photos', endpoint: 'http://s3.example.com' }),
      invalid('endpoint', 'insecure', 'allowInsecure'),
    ],
    'an S3 endpoint with a password': [
      () => s3({ bucket: 'photos', endpoint: 'https://id:hunter2@s3.example.com' }),
      invalid('endpoint', 'userinfo', /^(?!.*hunter2)/),
    ],
    'an S3 endpoint with a path': [
      () => s3({ bucket: 'photos', endpoint: 'https://s3.example.com/photos' }),
      invalid('endpoint', 'path', 'path'),
    ],
    'an S3 endpoint with a query': [
      () => s3({ bucket: 'photos', endpoint: 'https://s3.example.com/?x=1' }),
      invalid('endpoint', 'path', 'a query'),
    ],
    'an empty region': [() => s3({ bucket: 'photos', region: '' }), invalid('region', 'empty', 'region')],
    'half of the credentials': [
      () => s3({ bucket: 'photos', credentials: { ...keys, secretAccessKey: '' } }),
      invalid('credentials', 'half', 'secretAccessKey is missing'),
    ],
    'a misspelt option of s3': [
      () => s3({ bucket: 'photos', regoin: 'x' } as never),
      invalid('options', 'unknown', 'did you mean region?'),
    ],
    'a chunk of Cloud Storage that is no multiple': [
      () => gcs({ bucket: 'photos', partSize: 1_000_000 }),
      invalid('partSize', 'range', 'a multiple of 262144'),
    ],
    'an endpoint of Cloud Storage in the clear': [
      () => gcs({ bucket: 'photos', apiEndpoint: 'http://storage.example.com' }),
      invalid('apiEndpoint', 'insecure', 'allowInsecure'),
    ],
    'half of a service account': [
      () => gcs({ bucket: 'photos', credentials: { client_email: 'x@example.com' } }),
      invalid('credentials', 'half', 'private_key'),
    ],
    'an Azure container that can be none': [
      () => azure({ container: 'Photos', connectionString: 'x' }),
      invalid('container', 'name', '"Photos"'),
    ],
    'no way into Azure': [() => azure({ container: 'photos' }), invalid('options', 'credentials', 'connectionString')],
    'an Azure block of 5,000 MiB': [
      () => azure({ container: 'photos', connectionString: 'x', blockSize: 5000 * 2 ** 20 }),
      invalid('blockSize', 'range', '1048576 to 4194304000'),
    ],
    'a relative root': [() => fs({ root: 'objects' }), invalid('root', 'relative', 'got "objects"')],
    'a prefix that leads out': [
      () => s3({ bucket: 'photos', prefix: '../x/' }),
      invalid('prefix', 'segment', '"../x/"'),
    ],
    'a prefix of ours': [
      () => gcs({ bucket: 'photos', prefix: '.holdfast/' }),
      invalid('prefix', 'reserved', 'Holdfast'),
    ],
  }
  for (const [what, [make, expected]] of Object.entries(table))
    test(`${what}: ${expected.field} ${expected.rule}`, async () => {
      expectRefusal(await rejection(make), expected)
    })
})

describe('a store in the wrong state', () => {
  const closed: Refused = { code: 'CLOSED', says: 'the store is closed' }
  const calls: Readonly<Record<string, (store: Holdfast, body: AsyncIterable<Uint8Array>) => unknown>> = {
    put: (store, body) => store.put('k', body),
    get: store => store.get('k'),
    head: store => store.head('k'),
    delete: store => store.delete('k'),
    copy: store => store.copy('k', 'to'),
    list: store => Array.fromAsync(store.list()),
    signedUrl: store => store.signedUrl('k', { method: 'GET', expiresInSeconds: 60 }),
    adopt: store => store.adopt('k'),
    drain: store => store.drain(),
    check: store => store.check(),
    status: store => store.status(),
  }

  test('after close every call is CLOSED, and no body is read; close and dispose again are no error', async () => {
    await using directory = await testDirectory()
    const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
    await store.close()
    for (const call of Object.values(calls)) {
      const { body, isRead } = unread()
      expectRefusal(await rejection(() => call(store, body)), closed)
      expect(isRead()).toBe(false)
    }
    await store.close()
    await store.close({ drainMs: 10 })
    await store[Symbol.asyncDispose]()
    expect(await readdir(join(directory.path, 'drafts'))).toEqual([])
  })

  test('from the moment that close was called, before it has resolved', async () => {
    await using directory = await testDirectory()
    const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
    const closing = store.close()
    const { body, isRead } = unread()
    expectRefusal(await rejection(() => store.put('k', body)), closed)
    expect(isRead()).toBe(false)
    await closing
  })

  const open: Refused = refused('directory', 'open', ['is open in this process already', 'close it first'])

  test('one directory in two stores of a process: the second is refused, the first goes on', async () => {
    await using directory = await testDirectory()
    const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
    const first = await directory.open(providers)
    expectRefusal(await rejection(() => directory.open(providers)), open)
    for (const spelled of [`${directory.path}/`, join(directory.path, '.'), `${directory.path}/x/..`])
      expectRefusal(await rejection(() => directory.open(providers, { directory: spelled })), open)
    await first.put('k', 'x', { ack: 'all' })
    await first.close()
    const second = await directory.open(providers)
    expect(await (await second.get('k'))?.text()).toBe('x')
  })

  test('two openings at once: one of them is refused', async () => {
    await using directory = await testDirectory()
    const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
    const both = await Promise.allSettled([directory.open(providers), directory.open(providers)])
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    const error: unknown = both.find(each => each.status === 'rejected')?.reason
    expectRefusal(error, open)
  })

  test('an opening that was refused leaves the directory to the next', async () => {
    await using directory = await testDirectory()
    const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
    await rejection(() => directory.open(providers, { holdMs: -1 }))
    const store = await directory.open(providers)
    await store.put('k', 'x', { ack: 'all' })
  })
})
