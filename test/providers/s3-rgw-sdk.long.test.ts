import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasRgw, type Rgw, startRgw } from '../servers/rgw.ts'
import { callsOf, keys, streamed } from './s3-calls.ts'
import { createBucket, openS3, testPlain } from './s3-suite.ts'

describe('on Ceph', { skip: !hasRgw(), meta: { reason: 'Ceph is not installed here' } }, () => {
  let rgw: Rgw

  beforeAll(async () => {
    rgw = await startRgw()
    await createBucket(rgw, 'main')
  })

  afterAll(() => rgw?.stop())

  testPlain(() => rgw, { transport: 'sdk' })

  test('it takes the signatures of both ways, and answers both the same', async () => {
    const signal = AbortSignal.timeout(60_000)
    const direct = openS3(rgw, { prefix: 'auto/' })
    const bySdk = openS3(rgw, { prefix: 'sdk/', transport: 'sdk' })
    for (const provider of [direct, bySdk]) await provider.learn(undefined, signal)
    for (const { what, run } of [...keys.filter(key => key.length < 500).flatMap(callsOf), streamed]) {
      const [ours, theirs] = [await run(direct, signal), await run(bySdk, signal)]
      const plain = (answer: unknown): unknown =>
        typeof answer === 'object' && answer !== null ? { ...answer, modifiedAt: 0, serverTime: 0 } : answer
      expect(plain(ours), what).toEqual(plain(theirs))
    }
  })
})
