import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { ask, clientOf, failure, noise, sums } from './local-gcs-support.ts'

let cloud: LocalCloud
let main: ReturnType<ReturnType<typeof clientOf>['bucket']>

beforeAll(async () => {
  cloud = await startLocalGcs({ buckets: ['main', 'other'] })
  main = clientOf(cloud).bucket('main')
})

afterAll(() => cloud.stop())

async function put(name: string, body: string | Buffer, metadata: Record<string, unknown> = {}): Promise<void> {
  await main.file(name).save(body, { resumable: false, validation: false, metadata })
}

describe('objects', () => {
  test('what the official client saves comes back with all that the service says of it', async () => {
    const file = main.file('photos/cat é.jpg')
    await put(file.name, 'meow', {
      contentType: 'image/jpeg',
      cacheControl: 'no-store',
      contentDisposition: 'attachment',
      contentLanguage: 'de',
      metadata: { owner: 'Zoë', Case: 'kept', empty: '' },
    })
    const [metadata] = await file.getMetadata()
    expect(metadata).toMatchObject({
      kind: 'storage#object',
      name: 'photos/cat é.jpg',
      bucket: 'main',
      size: '4',
      contentType: 'image/jpeg',
      cacheControl: 'no-store',
      contentDisposition: 'attachment',
      contentLanguage: 'de',
      metadata: { owner: 'Zoë', Case: 'kept', empty: '' },
      metageneration: '1',
      storageClass: 'STANDARD',
      ...sums('meow'),
    })
    expect(metadata.id).toBe(`main/photos/cat é.jpg/${metadata.generation}`)
    expect(metadata.generation).toMatch(/^\d{16}$/)
    expect(metadata.etag).toMatch(/^C[\w+/]+=*$/)
    expect(Math.abs(Date.parse(String(metadata.timeCreated)) - Date.now())).toBeLessThan(10_000)
    expect(metadata).not.toHaveProperty('contentEncoding')
    expect(metadata).not.toHaveProperty('componentCount')
    expect((await file.download({ validation: 'crc32c' }))[0].toString()).toBe('meow')
  })

  test('each write has its own, greater generation, also within a millisecond', async () => {
    const generations: bigint[] = []
    for (let i = 0; i < 20; i++) {
      await put('again', 'the same')
      generations.push(BigInt((await main.file('again').getMetadata())[0].generation ?? 0))
    }
    expect(generations).toEqual([...generations].sort((a, b) => (a < b ? -1 : 1)))
    expect(new Set(generations).size).toBe(20)
  })

  test('a download says in its headers what is stored', async () => {
    const file = main.file('headers')
    await put('headers', 'hello', { contentType: 'text/plain' })
    const [{ generation }] = await file.getMetadata()
    const { status, headers, text } = await ask(cloud, 'GET', '/storage/v1/b/main/o/headers?alt=media')
    expect([status, text]).toEqual([200, 'hello'])
    const { crc32c, md5Hash } = sums('hello')
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/plain',
      'content-length': '5',
      'x-goog-generation': generation,
      'x-goog-metageneration': '1',
      'x-goog-hash': `crc32c=${crc32c},md5=${md5Hash}`,
      'x-goog-storage-class': 'STANDARD',
      'x-goog-stored-content-encoding': 'identity',
      'x-goog-stored-content-length': '5',
    })
    expect(headers.get('x-guploader-uploadid')).toMatch(/^\S{20,}$/)
  })

  test.each([
    [{ start: 2, end: 4 }, 'cde'],
    [{ start: 7 }, 'hij'],
    [{ start: 0, end: 0 }, 'a'],
    [{ end: -3 }, 'hij'],
    [{ start: 5, end: 500 }, 'fghij'],
  ])('a range %o is cut as HTTP says', async (range, expected) => {
    await put('alphabet', 'abcdefghij')
    expect((await main.file('alphabet').download(range))[0].toString()).toBe(expected)
  })

  test('a range past the end is 416, a download of nothing there 404 in words', async () => {
    await put('ten', 'abcdefghij')
    expect((await failure(main.file('ten').download({ start: 10 }))).code).toBe(416)
    const missing = await ask(cloud, 'GET', '/storage/v1/b/main/o/none?alt=media')
    expect([missing.status, missing.text]).toEqual([404, 'No such object: main/none'])
  })

  test('what is stored as gzip goes out as it is to who takes gzip, and unpacked to others', async () => {
    const packed = gzipSync('a long story '.repeat(50))
    await put('story', packed, { contentEncoding: 'gzip', contentType: 'text/plain' })
    const [raw] = await main.file('story').download({ decompress: false, validation: 'crc32c' })
    expect(raw.equals(packed)).toBe(true)
    expect((await main.file('story').download())[0].toString()).toBe('a long story '.repeat(50))
    const path = '/storage/v1/b/main/o/story?alt=media'
    const unpacked = await ask(cloud, 'GET', path, { headers: { 'accept-encoding': 'identity', range: 'bytes=0-1' } })
    expect(unpacked.status).toBe(200)
    expect(unpacked.text).toBe('a long story '.repeat(50))
    expect(unpacked.headers.get('content-encoding')).toBe(null)
    expect(unpacked.headers.get('x-goog-stored-content-length')).toBe(String(packed.byteLength))
    expect(unpacked.headers.get('x-guploader-response-body-transformations')).toBe('gunzipped')
    await main.file('story').setMetadata({ cacheControl: 'no-transform' })
    const whole = await ask(cloud, 'GET', path, { headers: { 'accept-encoding': 'identity' } })
    expect(whole.headers.get('content-length')).toBe(String(packed.byteLength))
  })

  test('wrong digests are refused with both named, and store nothing', async () => {
    for (const [field, word] of [
      ['crc32c', 'CRC32C'],
      ['md5Hash', 'MD5 hash'],
    ] as const) {
      const wrong = sums('other')[field]
      const error = await failure(put('digest', 'this', { [field]: wrong }))
      expect(error.code).toBe(400)
      expect(error.message).toContain(`Provided ${word} "${wrong}" doesn't match calculated ${word}`)
      expect(error.errors?.[0]?.reason).toBe('invalid')
      expect(await main.file('digest').exists()).toEqual([false])
    }
    await put('digest', 'this', sums('this'))
    expect(await main.file('digest').exists()).toEqual([true])
  })

  test('it tells a missing object from a missing bucket, in the words of the service', async () => {
    const noObject = await failure(main.file('a/ b').getMetadata())
    expect(noObject).toMatchObject({ code: 404, message: 'No such object: main/a/ b' })
    expect(noObject.errors?.[0]).toMatchObject({ reason: 'notFound', domain: 'global' })
    const gone = clientOf(cloud).bucket('gone-bucket')
    const calls = [
      () => gone.file('x').getMetadata(),
      () => gone.file('x').save('y', { resumable: false }),
      () => gone.getFiles(),
      () => gone.getMetadata(),
      () => gone.file('x').delete(),
    ]
    for (const call of calls) {
      expect(await failure(call())).toMatchObject({ code: 404, message: 'The specified bucket does not exist.' })
    }
    expect((await failure(main.file('none').delete())).code).toBe(404)
  })

  test('names are kept as they are, and those that the service forbids are refused', async () => {
    const names = [
      'a b+c%2Fd',
      'a/../b',
      './x',
      '../x',
      'a//b/',
      '%',
      "it's (fine)*!",
      '😀\u{10ffff}',
      '#?&=;',
      '\\',
      '\u0001',
    ]
    for (const name of names) await put(name, name)
    for (const name of names) expect((await main.file(name).download())[0].toString()).toBe(name)
    const [files] = await main.getFiles()
    for (const name of names) expect(files.map(file => file.name)).toContain(name)
    for (const name of ['a\nb', 'a\rb', '.well-known/acme-challenge/x', 'x'.repeat(1025), '.', '..']) {
      const path = `/upload/storage/v1/b/main/o?uploadType=media&name=${encodeURIComponent(name)}`
      expect((await ask(cloud, 'POST', path, { body: 'x' })).status).toBe(400)
    }
    await put('x'.repeat(1024), 'longest')
  })

  test('metadata over 8 KiB is refused', async () => {
    await put('meta', 'x', { metadata: { a: 'x'.repeat(8191) } })
    expect((await failure(put('meta', 'x', { metadata: { a: 'x'.repeat(8192) } }))).code).toBe(400)
  })

  test('a patch merges, null removes, the metageneration counts, the bytes stay', async () => {
    const file = main.file('patched')
    await put('patched', 'body', { contentType: 'text/plain', metadata: { a: '1', b: '2' } })
    const [before] = await file.getMetadata()
    await file.setMetadata({ metadata: { a: null, c: '3' }, cacheControl: 'no-cache' })
    const [after] = await file.getMetadata()
    expect(after.metadata).toEqual({ b: '2', c: '3' })
    expect([after.generation, after.metageneration]).toEqual([before.generation, '2'])
    expect([after.cacheControl, after.contentType]).toEqual(['no-cache', 'text/plain'])
    expect((await file.download())[0].toString()).toBe('body')
    const stale = await failure(file.setMetadata({ cacheControl: 'x' }, { ifMetagenerationMatch: 1 }))
    expect(stale.code).toBe(412)
  })

  test('partial answers hold what was asked for', async () => {
    await put('fields', 'x', { metadata: { a: '1' } })
    const { text } = await ask(cloud, 'GET', '/storage/v1/b/main/o?prefix=fields&fields=kind,items(name,metadata/a)')
    expect(JSON.parse(text)).toEqual({ kind: 'storage#objects', items: [{ name: 'fields', metadata: { a: '1' } }] })
  })
})

describe('conditions', () => {
  test('a create-only write, a replace and a delete hold to the generation, with the words of the service', async () => {
    const file = main.file('conditional')
    const save = (body: string, ifGenerationMatch: number | string): Promise<void> =>
      file.save(body, { resumable: false, preconditionOpts: { ifGenerationMatch } })
    await save('one', 0)
    const error = await failure(save('two', 0))
    expect(error.code).toBe(412)
    expect(error.errors).toEqual([
      {
        message: 'At least one of the pre-conditions you specified did not hold.',
        domain: 'global',
        reason: 'conditionNotMet',
        locationType: 'header',
        location: 'If-Match',
      },
    ])
    const [{ generation: first = '' }] = await file.getMetadata()
    await save('two', first)
    expect((await failure(save('three', first))).code).toBe(412)
    expect((await file.download())[0].toString()).toBe('two')
    expect((await failure(file.delete({ ifGenerationMatch: first }))).code).toBe(412)
    const [{ generation: second = '' }] = await file.getMetadata()
    await file.delete({ ifGenerationMatch: second })
    expect(await file.exists()).toEqual([false])
  })

  test('of eight creates at the same time one wins', async () => {
    const writers = Array.from({ length: 8 }, (_none, index) =>
      main.file('race').save(`writer ${index}`, { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }),
    )
    const outcomes = await Promise.allSettled(writers)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled')
    expect((await main.file('race').download())[0].toString()).toBe(`writer ${winner}`)
  })

  test('reads can be pinned, and answer 304 where nothing is new', async () => {
    await put('pinned', 'x')
    const [{ generation = '' }] = await main.file('pinned').getMetadata()
    const at = `/storage/v1/b/main/o/pinned?generation=${generation}`
    expect((await ask(cloud, 'GET', at)).status).toBe(200)
    expect((await ask(cloud, 'GET', `${at}1`)).status).toBe(404)
    expect((await ask(cloud, 'GET', `/storage/v1/b/main/o/pinned?ifGenerationMatch=1`)).status).toBe(412)
    expect((await ask(cloud, 'GET', `/storage/v1/b/main/o/pinned?ifGenerationNotMatch=${generation}`)).status).toBe(304)
  })

  test('holds and retention keep an object from being replaced or deleted', async () => {
    await put('held', 'x')
    await main.file('held').setMetadata({ temporaryHold: true })
    const error = await failure(main.file('held').delete())
    expect(error).toMatchObject({ code: 403 })
    expect(error.errors?.[0]?.reason).toBe('objectUnderActiveHold')
    await main.file('held').setMetadata({ temporaryHold: false })
    await main.file('held').delete()

    const kept = clientOf(cloud).bucket('kept-bucket')
    await kept.create()
    await kept.setRetentionPeriod(3600)
    await kept.file('a').save('x', { resumable: false })
    expect((await failure(kept.file('a').save('y', { resumable: false }))).errors?.[0]?.reason).toBe(
      'retentionPolicyNotMet',
    )
    expect((await failure(kept.file('a').delete())).code).toBe(403)
  })

  test('where it is told to, a second change of an object within a second is refused', async () => {
    await using slow = await startLocalGcs({ buckets: ['main'], oneMutationPerSecond: true })
    const file = clientOf(slow).bucket('main').file('a')
    await file.save('one', { resumable: false })
    const error = await failure(file.save('two', { resumable: false }))
    expect(error.code).toBe(429)
    expect(error.errors?.[0]).toMatchObject({ reason: 'rateLimitExceeded', domain: 'usageLimits' })
    await clientOf(slow).bucket('main').file('b').save('another', { resumable: false })
    await new Promise(resolve => setTimeout(resolve, 1050))
    await file.save('two', { resumable: false })
  })
})

describe('listings', () => {
  const names = ['a', 'a/', 'a/1', 'a/2', 'a/b/1', 'a0', 'b/1', 'c', 'é', '\uffee', '😀']

  beforeAll(async () => {
    const bucket = clientOf(cloud).bucket('listed')
    await bucket.create()
    await Promise.all(names.map(name => bucket.file(name).save(name, { resumable: false })))
  })

  test('everything comes in the order of UTF-8 bytes', async () => {
    const [files] = await clientOf(cloud).bucket('listed').getFiles()
    expect(files.map(file => file.name)).toEqual(names)
  })

  test.each([
    [{ prefix: 'a/' }, ['a/', 'a/1', 'a/2', 'a/b/1'], []],
    [{ delimiter: '/' }, ['a', 'a0', 'c', 'é', '\uffee', '😀'], ['a/', 'b/']],
    [{ prefix: 'a/', delimiter: '/' }, ['a/', 'a/1', 'a/2'], ['a/b/']],
    [{ prefix: 'a/', delimiter: '/', includeTrailingDelimiter: true }, ['a/', 'a/1', 'a/2'], ['a/b/']],
    [{ delimiter: '/', includeTrailingDelimiter: true }, ['a', 'a/', 'a0', 'c', 'é', '\uffee', '😀'], ['a/', 'b/']],
    [{ startOffset: 'a0' }, ['a0', 'b/1', 'c', 'é', '\uffee', '😀'], []],
    [{ startOffset: 'a/2', endOffset: 'c' }, ['a/2', 'a/b/1', 'a0', 'b/1'], []],
    [{ delimiter: '/', startOffset: 'a/b' }, ['a0', 'c', 'é', '\uffee', '😀'], ['a/', 'b/']],
    [{ prefix: 'nothing' }, [], []],
  ])('%o selects what it should, also page by page', async (query, keys, prefixes) => {
    const bucket = clientOf(cloud).bucket('listed')
    for (const maxResults of [1000, 1, 2, 3]) {
      const found: string[] = []
      const folded = new Set<string>()
      let next: object | null = { ...query, maxResults, autoPaginate: false }
      for (let page = 0; next !== null && page < 50; page++) {
        const [files, following, answer] = (await bucket.getFiles(next)) as unknown as [
          { name: string }[],
          object | null,
          { prefixes?: string[] },
        ]
        expect(files.length + (answer.prefixes?.length ?? 0)).toBeLessThanOrEqual(maxResults + 1)
        found.push(...files.map(file => file.name))
        for (const prefix of answer.prefixes ?? []) folded.add(prefix)
        next = following
      }
      expect(found).toEqual(keys)
      expect([...folded]).toEqual(prefixes)
    }
  })

  test('a page has a thousand at most, and a token that is none of ours is refused', async () => {
    const bucket = clientOf(cloud).bucket('many')
    await bucket.create()
    const all = Array.from({ length: 1005 }, (_none, index) => `k${String(index).padStart(4, '0')}`)
    await Promise.all(all.map(name => ask(cloud, 'POST', `/upload/storage/v1/b/many/o?uploadType=media&name=${name}`)))
    const first = JSON.parse((await ask(cloud, 'GET', '/storage/v1/b/many/o?maxResults=5000')).text)
    expect(first.items).toHaveLength(1000)
    expect((await bucket.getFiles())[0].map(file => file.name)).toEqual(all)
    expect((await ask(cloud, 'GET', '/storage/v1/b/many/o?pageToken=nonsense')).status).toBe(400)
  })
})

describe('copies', () => {
  test('a copy takes bytes and description over, or another description', async () => {
    await put('from', 'body', { contentType: 'text/plain', metadata: { a: '1' } })
    const other = clientOf(cloud).bucket('other')
    await main.file('from').copy(other.file('to/é'))
    const [copied] = await other.file('to/é').getMetadata()
    expect(copied).toMatchObject({ contentType: 'text/plain', metadata: { a: '1' }, ...sums('body') })
    expect((await other.file('to/é').download())[0].toString()).toBe('body')
    await main.file('from').copy('redescribed', { metadata: { b: '2' }, contentType: 'text/html' })
    expect((await main.file('redescribed').getMetadata())[0]).toMatchObject({
      contentType: 'text/html',
      metadata: { b: '2' },
    })
    expect((await failure(main.file('none').copy('x'))).code).toBe(404)
    expect(
      (await failure(main.file('from').copy('redescribed', { preconditionOpts: { ifGenerationMatch: 0 } }))).code,
    ).toBe(412)
  })

  test('a rewrite in pieces says how far it is, and goes on by its token', async () => {
    await put('large', noise(3_000_000))
    const path = '/storage/v1/b/main/o/large/rewriteTo/b/main/o/rewritten?maxBytesRewrittenPerCall=1048576'
    let answer = JSON.parse((await ask(cloud, 'POST', path)).text)
    const steps = [answer.totalBytesRewritten]
    while (answer.done === false) {
      answer = JSON.parse((await ask(cloud, 'POST', `${path}&rewriteToken=${answer.rewriteToken}`)).text)
      steps.push(answer.totalBytesRewritten)
    }
    expect(steps).toEqual(['1048576', '2097152', '3000000'])
    expect(answer.resource).toMatchObject({ name: 'rewritten', size: '3000000' })
    expect((await main.file('rewritten').download())[0].equals(noise(3_000_000))).toBe(true)
  })

  test('a condition on the source of a rewrite holds', async () => {
    await put('source', 'x')
    const path = '/storage/v1/b/main/o/source/rewriteTo/b/main/o/target'
    expect((await ask(cloud, 'POST', `${path}?ifSourceGenerationMatch=1`)).status).toBe(412)
    expect((await ask(cloud, 'POST', `${path}?sourceGeneration=1`)).status).toBe(404)
    expect((await ask(cloud, 'POST', path)).status).toBe(200)
  })

  test('objects are composed in order, without an MD5', async () => {
    for (const [index, part] of ['one ', 'two ', 'three'].entries()) await put(`part ${index}`, part)
    await main.combine([main.file('part 0'), main.file('part 1'), main.file('part 2')], 'composed.txt')
    const [composed] = await main.file('composed.txt').getMetadata()
    expect(composed).toMatchObject({ size: '13', componentCount: 3, crc32c: sums('one two three').crc32c })
    expect(composed).not.toHaveProperty('md5Hash')
    expect((await main.file('composed.txt').download({ validation: 'crc32c' }))[0].toString()).toBe('one two three')
    await main.file('part 0').delete()
    expect((await main.file('composed.txt').download())[0].toString()).toBe('one two three')
  })

  test('a move leaves nothing behind', async () => {
    await put('moving', 'x', { metadata: { a: '1' } })
    await main.file('moving').moveFileAtomic('moved')
    expect(await main.file('moving').exists()).toEqual([false])
    expect((await main.file('moved').getMetadata())[0].metadata).toEqual({ a: '1' })
    await main.file('moved').move('moved again')
    expect((await main.file('moved again').download())[0].toString()).toBe('x')
  })
})

describe('buckets', () => {
  test('are made, described, listed and deleted, empty ones only', async () => {
    const storage = clientOf(cloud)
    const [bucket] = await storage.createBucket('fresh-bucket', { location: 'EU' })
    expect((await bucket.getMetadata())[0]).toMatchObject({
      kind: 'storage#bucket',
      name: 'fresh-bucket',
      location: 'EU',
    })
    expect((await failure(storage.createBucket('fresh-bucket'))).code).toBe(409)
    expect((await failure(storage.createBucket('No Bucket'))).code).toBe(400)
    await bucket.setMetadata({ labels: { a: 'b' } })
    expect((await bucket.getMetadata())[0].labels).toEqual({ a: 'b' })
    expect((await storage.getBuckets())[0].map(({ name }) => name)).toContain('fresh-bucket')
    await bucket.file('x').save('x', { resumable: false })
    expect(await failure(bucket.delete())).toMatchObject({ code: 409 })
    await bucket.deleteFiles()
    await bucket.delete()
    expect(await bucket.exists()).toEqual([false])
  })
})

describe('who may', () => {
  test('with a token set, only requests that bear it are let in', async () => {
    await using closed = await startLocalGcs({ buckets: ['main'], auth: { token: 'open-sesame' } })
    const anonymous = await failure(clientOf(closed).bucket('main').file('x').getMetadata())
    expect(anonymous).toMatchObject({ code: 401 })
    expect(anonymous.errors?.[0]?.reason).toBe('required')
    const wrong = await ask(closed, 'GET', '/storage/v1/b/main/o/x', { headers: { authorization: 'Bearer guess' } })
    expect(wrong.status).toBe(401)
    expect(JSON.parse(wrong.text).error.errors[0].reason).toBe('authError')
    const right = await ask(closed, 'GET', '/storage/v1/b/main/o', { headers: { authorization: 'Bearer open-sesame' } })
    expect(right.status).toBe(200)
  })

  test('pages from elsewhere may ask', async () => {
    const preflight = await ask(cloud, 'OPTIONS', '/main/x', {
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'content-type',
      },
    })
    expect(preflight.status).toBe(200)
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
    expect(preflight.headers.get('access-control-allow-methods')).toBe('PUT')
    expect(preflight.headers.get('access-control-allow-headers')).toBe('content-type')
    const plain = await ask(cloud, 'GET', '/storage/v1/b/main', { headers: { origin: 'https://app.example' } })
    expect(plain.headers.get('access-control-allow-origin')).toBe('*')
  })

  test('what the service does not have is refused in its own way', async () => {
    expect((await ask(cloud, 'GET', '/storage/v1/b/main/acl')).status).toBe(404)
    expect((await ask(cloud, 'POST', '/storage/v1/b/main/o/x')).status).toBe(405)
    expect((await ask(cloud, 'GET', '/storage/v1/b/main/o/%ZZ')).status).toBe(404)
    const garbled = await ask(cloud, 'PATCH', '/storage/v1/b/main/o/x', { body: '{' })
    expect([garbled.status, JSON.parse(garbled.text).error.errors[0].reason]).toEqual([400, 'parseError'])
  })
})
