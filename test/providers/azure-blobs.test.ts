import { BlobServiceClient, type BlockBlobClient, type ContainerClient } from '@azure/storage-blob'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { compareKeys } from '../../src/core/key.ts'
import { noMemo, type Provider, type PutRequest, type UploadMemo } from '../../src/core/provider.ts'
import type { Source } from '../../src/core/source.ts'
import { azure } from '../../src/providers/azure.ts'
import { inByteOrder } from '../../src/providers/azure/order.ts'
import { type Azurite, startAzurite } from '../servers/azurite.ts'

const mebibyte = 2 ** 20
let azurite: Azurite
let container: ContainerClient
let provider: Provider
let key = ''
/** `PUT block`, `PUT blocklist`, `GET`, … as they are sent by the provider's client. */
const sent: string[] = []
let count = 0

beforeAll(async () => {
  azurite = await startAzurite()
  const client = BlobServiceClient.fromConnectionString(azurite.connectionString)
  container = client.getContainerClient('blobs')
  await container.create()
  const { pipeline } = client as unknown as { pipeline: { factories: unknown[] } }
  pipeline.factories.push({
    create: (next: { sendRequest(request: unknown): unknown }) => ({
      sendRequest(request: { method: string; url: string }) {
        const part = new URL(request.url).searchParams.get('comp')
        sent.push(part === null ? request.method : `${request.method} ${part}`)
        return next.sendRequest(request)
      },
    }),
  })
  provider = azure({ container: 'blobs', client, singleShotBytes: mebibyte, blockSize: mebibyte })
})

afterAll(async () => {
  await azurite?.stop()
})

beforeEach(() => {
  key = `key ${++count}`
  sent.length = 0
})

function bytesOf(size: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: size }, (_none, index) => (index * 31 + seed * 7 + (index >>> 8)) & 255)
}

function sourceOf(bytes: Uint8Array, before: (start: number) => void = () => {}): Source {
  return {
    size: bytes.byteLength,
    ...digestsOf(bytes),
    async *open(start, end) {
      before(start)
      for (let at = start; at < end; at += 65_536) yield bytes.subarray(at, Math.min(end, at + 65_536))
    },
  }
}

function put(bytes: Uint8Array | Source, more: Partial<PutRequest> = {}): ReturnType<Provider['put']> {
  const source = bytes instanceof Uint8Array ? sourceOf(bytes) : bytes
  const request = {
    key,
    source,
    headers: { contentType: 'x/y' },
    metadata: {},
    condition: undefined,
    upload: noMemo,
    ...more,
  }
  return provider.put(request, AbortSignal.timeout(20_000))
}

const head = (): ReturnType<Provider['head']> => provider.head(key, AbortSignal.timeout(20_000))
const blob = (): BlockBlobClient => container.getBlockBlobClient(key)

/** A memo that breaks the upload once it has saved so many states. */
function breakingAfter(states: number, kept: string[]): UploadMemo {
  return {
    saved: kept.at(-1),
    async save(state) {
      kept.push(state)
      if (kept.length >= states) throw new HoldfastError('CLOSED', 'stopped')
    },
  }
}

const remembering = (saved: string | undefined): UploadMemo => ({ saved, save: async () => {} })

describe('uploads in blocks', () => {
  test('a large body goes up block by block, and its length is asked for', async () => {
    const bytes = bytesOf(2.5 * mebibyte)
    const result = await put(bytes)
    expect(result.proof).toBe('server-parts')
    expect(sent).toEqual(['PUT block', 'PUT block', 'PUT block', 'PUT blocklist', 'HEAD'])
    expect(Buffer.from(await blob().downloadToBuffer()).equals(bytes)).toBe(true)
  })

  test('a small body goes up in one request, and the service says that it compared', async () => {
    expect((await put(bytesOf(mebibyte))).proof).toBe('server-full')
    expect(sent).toEqual(['PUT'])
  })

  test('an upload goes on after the last block that was remembered', async () => {
    const bytes = bytesOf(4 * mebibyte)
    const states: string[] = []
    await expect(put(bytes, { upload: breakingAfter(3, states) })).rejects.toThrow('stopped')
    expect(sent).toEqual(['PUT block', 'PUT block'])
    sent.length = 0
    expect((await put(bytes, { upload: remembering(states.at(-1)) })).proof).toBe('server-parts')
    expect(sent).toEqual(['GET blocklist', 'PUT block', 'PUT block', 'PUT blocklist', 'HEAD'])
    expect(Buffer.from(await blob().downloadToBuffer()).equals(bytes)).toBe(true)
  })

  test('blocks that were staged from damaged bytes are not put together (A3, A10, I7)', async () => {
    const bytes = bytesOf(3 * mebibyte)
    const damaged = Uint8Array.from(bytes)
    damaged[5] = 255 - (bytes[5] ?? 0)
    const states: string[] = []
    const lying = { ...sourceOf(damaged), ...digestsOf(bytes) }
    await expect(put(lying, { upload: breakingAfter(2, states) })).rejects.toThrow('stopped')
    // The source is whole again; what is at the service is not.
    await expect(put(bytes, { upload: remembering(states.at(-1)) })).rejects.toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
    })
    expect(await head()).toBeUndefined()
    expect((await put(bytes)).proof).toBe('server-parts')
  })

  test('a state of another body, or of lost blocks, starts again (A3, A4)', async () => {
    const bytes = bytesOf(3 * mebibyte)
    const states: string[] = []
    await expect(put(bytesOf(3 * mebibyte, 2), { upload: breakingAfter(3, states) })).rejects.toThrow('stopped')
    await put(bytes, { upload: remembering(states.at(-1)) })
    // Completing one upload drops the blocks of every other.
    sent.length = 0
    await put(bytesOf(3 * mebibyte, 2), { upload: remembering(states.at(-1)) })
    expect(sent).toEqual(['GET blocklist', 'PUT block', 'PUT block', 'PUT block', 'PUT blocklist', 'HEAD'])
  })

  test('an upload whose blocks vanish on the way starts again, once (A3, A4, I29)', async () => {
    const bytes = bytesOf(3 * mebibyte)
    const states: string[] = []
    await expect(put(bytes, { upload: breakingAfter(2, states) })).rejects.toThrow('stopped')
    let isDropped = false
    const upload: UploadMemo = {
      saved: states.at(-1),
      async save() {
        if (isDropped) return
        isDropped = true
        await blob().commitBlockList([])
      },
    }
    expect((await put(bytes, { upload })).proof).toBe('server-parts')
    expect(sent.filter(request => request === 'PUT blocklist')).toHaveLength(2)
    expect(Buffer.from(await blob().downloadToBuffer()).equals(bytes)).toBe(true)
    // One that began here has lost them to somebody else: that is an error.
    const dropping: UploadMemo = {
      saved: undefined,
      save: async () => void (await blob().commitBlockList([])),
    }
    await expect(put(bytes, { upload: dropping })).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'UPLOAD_GONE' })
  })

  test('of uploads to one key at the same time the last one stays, whole (A3)', async () => {
    const bodies = [1, 2, 3, 4].map(seed => bytesOf(2.2 * mebibyte, seed))
    const results = await Promise.allSettled(bodies.map(bytes => put(bytes)))
    expect(results.some(result => result.status === 'fulfilled')).toBe(true)
    const found = await blob().downloadToBuffer()
    expect(bodies.some(bytes => Buffer.from(bytes).equals(found))).toBe(true)
    for (const result of results) {
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ code: 'UNAVAILABLE', reason: 'UPLOAD_GONE' })
    }
  })

  test('conditions hold for blocks too', async () => {
    const bytes = bytesOf(1.5 * mebibyte)
    const { token } = await put(bytes, { condition: { absent: true } })
    const condition = { code: 'PRECONDITION', reason: 'CONDITION', outcome: 'rejected' }
    await expect(put(bytes, { condition: { absent: true } })).rejects.toMatchObject(condition)
    await put(bytes, { condition: { token } })
    await expect(put(bytes, { condition: { token } })).rejects.toMatchObject(condition)
  })

  test('abandoning touches nothing: neither blocks nor blob', async () => {
    const states: string[] = []
    const bytes = bytesOf(3 * mebibyte)
    await expect(put(bytes, { upload: breakingAfter(3, states) })).rejects.toThrow('stopped')
    sent.length = 0
    await provider.abandon(key, states.at(-1) ?? '', AbortSignal.timeout(1000))
    expect(sent).toEqual([])
  })
})

describe('what is attested', () => {
  test('the MD5 of a blob that came whole', async () => {
    const bytes = bytesOf(1000)
    await put(bytes)
    expect((await head())?.attested).toEqual({ md5: digestsOf(bytes).md5 })
    await blob().upload('theirs', 6)
    expect((await head())?.attested).toEqual({ md5: digestsOf(Buffer.from('theirs')).md5 })
  })

  test('nothing of a blob that was put together of blocks, whatever its writer said (A10, I24)', async () => {
    await put(bytesOf(1.5 * mebibyte))
    expect((await head())?.attested).toEqual({})
    const claim = Buffer.from(digestsOf(Buffer.from('something else')).md5, 'hex')
    await blob().stageBlock(Buffer.from('000001').toString('base64'), 'the bytes', 9)
    await blob().commitBlockList([Buffer.from('000001').toString('base64')], {
      blobHTTPHeaders: { blobContentMD5: claim },
    })
    const found = await head()
    expect(found?.size).toBe(9)
    expect(found?.attested).toEqual({})
  })

  test('nothing of an empty blob whose writer said something else', async () => {
    const claim = Buffer.from(digestsOf(Buffer.from('something else')).md5, 'hex')
    await blob().commitBlockList([], { blobHTTPHeaders: { blobContentMD5: claim } })
    expect(await head()).toMatchObject({ size: 0, attested: {} })
    await put(new Uint8Array(0))
    expect(await head()).toMatchObject({ size: 0, attested: { md5: 'd41d8cd98f00b204e9800998ecf8427e' } })
  })
})

describe('what others left there', () => {
  test('metadata of any case comes in lower case', async () => {
    await blob().upload('x', 1, { metadata: { SomeName: 'Value' } })
    expect({ ...(await head())?.metadata }).toEqual({ somename: 'Value' })
  })

  test('a leased blob is kept for its holder (A5)', async () => {
    const { token } = await put(bytesOf(10))
    const lease = blob().getBlobLeaseClient()
    await lease.acquireLease(-1)
    const retention = { code: 'DENIED', reason: 'RETENTION', outcome: 'rejected' }
    await expect(put(bytesOf(10))).rejects.toMatchObject(retention)
    await expect(provider.delete(key, token, AbortSignal.timeout(5000))).rejects.toMatchObject(retention)
    await lease.releaseLease()
    await put(bytesOf(10))
  })

  test('a blob with snapshots is not deleted, and they are not (A6, I16)', async () => {
    await put(bytesOf(10))
    await blob().createSnapshot()
    const deleting = provider.delete(key, undefined, AbortSignal.timeout(5000))
    await expect(deleting).rejects.toMatchObject({ code: 'DENIED', reason: 'RETENTION', outcome: 'rejected' })
    expect((await head())?.size).toBe(10)
  })

  test('an append blob in our place is replaced whole, or refuses blocks (A12)', async () => {
    await container.getAppendBlobClient(key).create()
    expect(await head()).toMatchObject({ size: 0 })
    await put(bytesOf(10))
    expect((await head())?.size).toBe(10)
  })
})

describe('order', () => {
  const alphabet = ['a', 'b', '/', 'é', '\ud7ff', '\uff41', '\uffee', '😀', '😁', '𐀀', '\u{10fffd}']

  async function* each<T>(items: Iterable<T>): AsyncIterable<T> {
    yield* items
  }

  test('names in the order of UTF-16 units, or of UTF-8 bytes, leave in that of UTF-8 bytes', async () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`azure order: SEED=${seed}`)
    let state = seed >>> 0 || 1
    const next = (below: number): number => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) % below
    }
    for (let round = 0; round < 2000; round++) {
      const random = Array.from({ length: next(30) }, () =>
        Array.from({ length: 1 + next(5) }, () => alphabet[next(alphabet.length)]).join(''),
      )
      const names = [...new Set(random)]
      const wanted = names.toSorted(compareKeys)
      for (const given of [names.toSorted(), wanted]) {
        const got: string[] = []
        for await (const { name } of inByteOrder(each(given.map(name => ({ name }))))) got.push(name)
        expect(got).toEqual(wanted)
      }
    }
  })

  test('what cannot be wrong does not wait', async () => {
    let taken = 0
    function* endless(): Iterable<{ name: string }> {
      for (;;) {
        taken += 1
        yield { name: `plain ${String(taken).padStart(9, '0')}` }
      }
    }
    for await (const { name } of inByteOrder(each(endless()))) {
      expect(taken).toBe(Number(name.slice(6)))
      if (taken === 1000) break
    }
  })

  test('of names that have to wait only so many are held', async () => {
    let taken = 0
    function* endless(): Iterable<{ name: string }> {
      for (;;) {
        taken += 1
        yield { name: `😀${String(taken).padStart(9, '0')}` }
      }
    }
    for await (const { name } of inByteOrder(each(endless()))) {
      expect(name).toBe('😀000000001')
      break
    }
    expect(taken).toBe(50_000)
  })

  test('a container with emoji lists in byte order, over pages', async () => {
    const under = `order ${count}/`
    const names = ['a', 'z', '～', 'ﬀ', '😀', '😀/x', '𠮷', 'é', '😀～', '～😀'].map(name => under + name)
    for (const name of names) await container.getBlockBlobClient(name).upload('', 0)
    const got: string[] = []
    for await (const entry of provider.list(
      { prefix: under, delimiter: '', startAfter: '' },
      AbortSignal.timeout(5000),
    )) {
      if (entry.type === 'object') got.push(entry.key)
    }
    expect(got).toEqual(names.toSorted(compareKeys))
  })
})

test('what is on disk is there after a restart of the emulator', async () => {
  const { mkdtemp, rm } = await import('node:fs/promises')
  const { tmpdir } = await import('node:os')
  const { join } = await import('node:path')
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-azurite-'))
  try {
    const signal = AbortSignal.timeout(30_000)
    const first = await startAzurite({ directory })
    const service = BlobServiceClient.fromConnectionString(first.connectionString)
    await service.getContainerClient('box').create()
    const options = { container: 'box', accountName: first.accountName, accountKey: first.accountKey }
    const before = azure({ ...options, endpoint: first.endpoint })
    const bytes = bytesOf(1000)
    const request = {
      key: 'kept',
      source: sourceOf(bytes),
      headers: { contentType: 'x/y' },
      metadata: {},
      condition: undefined,
    }
    const { token } = await before.put({ ...request, upload: noMemo }, signal)
    await first.stop()
    await using second = await startAzurite({ directory, port: first.port })
    expect(second.port).toBe(first.port)
    expect(await azure({ ...options, endpoint: second.endpoint }).head('kept', signal)).toMatchObject({
      token,
      size: 1000,
    })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}, 60_000)
