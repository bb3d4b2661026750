import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasRgw, type Rgw, startRgw } from '../servers/rgw.ts'
import { putOf } from './s3-recorder.ts'
import { createBucket, mebibyte, openS3, testPlain } from './s3-suite.ts'

describe('on Ceph', { skip: !hasRgw(), meta: { reason: 'Ceph is not installed here' } }, () => {
  let rgw: Rgw

  beforeAll(async () => {
    rgw = await startRgw()
    await createBucket(rgw, 'main')
  })

  afterAll(() => rgw?.stop())

  testPlain(() => rgw)

  // What makes it worth testing against: it speaks S3, and not Amazon's.
  test('it is found out what it can (S14, S15)', async () => {
    expect(await openS3(rgw).learn(undefined, AbortSignal.timeout(20_000))).toEqual({
      createIfAbsent: true,
      replaceIf: true,
      deleteIf: false,
      uniqueTokens: false,
      readIf: true,
      attests: ['md5'],
      sign: true,
      listsAtOnce: true,
      quirks: {
        asked: '1',
        crc32c: 'ignored',
        'parts-crc32c': 'none',
        'content-md5': 'checked',
        etag: 'md5',
        'if-match': 'bare',
        'parts-condition': 'none',
        'request-id': 'always',
        underscore: 'lost',
      },
    })
  })

  test('it keeps features as they were given, whole and in parts', async () => {
    const signal = AbortSignal.timeout(20_000)
    const provider = openS3(rgw)
    await provider.learn(undefined, signal)
    const Expires = 'Mon, 21 Oct 2030 07:28:00 GMT'
    const features = { s3: { ACL: 'public-read', StorageClass: 'STANDARD', Tagging: 'a=1&b=2', Expires } }
    for (const size of [5, 7 * mebibyte]) {
      const key = `features/${size}`
      await provider.put(putOf(key, new Uint8Array(size), { features }), signal)
      expect(await provider.head(key, signal)).toMatchObject({ tagCount: 2, features: { Expires } })
      const [entry] = await Array.fromAsync(provider.list({ prefix: key, delimiter: '', startAfter: '' }, signal))
      expect(entry).toMatchObject({ storageClass: 'STANDARD' })
      expect((await fetch(`${rgw.endpoint}/main/${key}`)).status).toBe(200)
    }
  })

  test('it proves what it stored: whole by its ETag, in parts by each one', async () => {
    const signal = AbortSignal.timeout(20_000)
    const provider = openS3(rgw)
    await provider.learn(undefined, signal)
    expect(await provider.put(putOf('proof/whole', 'hello'), signal)).toMatchObject({ proof: 'server-full' })
    const bytes = new Uint8Array(7 * mebibyte)
    const inParts = await provider.put(putOf('proof/parts', bytes), signal)
    expect(inParts).toMatchObject({ proof: 'server-parts', etag: expect.stringMatching(/^[0-9a-f]{32}-2$/) })
    expect(await provider.head('proof/parts', signal)).toMatchObject({ token: inParts.token, attested: {} })
  })
})
