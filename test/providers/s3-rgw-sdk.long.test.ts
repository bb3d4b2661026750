import { afterAll, beforeAll, describe, test } from 'vitest'
import { hasRgw, type Rgw, startRgw } from '../servers/rgw.ts'
import { expectSame } from './s3-calls.ts'
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
    await expectSame(direct, bySdk, signal)
  })
})
