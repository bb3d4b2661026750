import { afterAll, beforeAll, describe } from 'vitest'
import { hasRgw, type Rgw, startRgw } from '../servers/rgw.ts'
import { createBucket, testWrapped } from './s3-suite.ts'

describe('on Ceph', { skip: !hasRgw(), meta: { reason: 'Ceph is not installed here' } }, () => {
  let rgw: Rgw

  beforeAll(async () => {
    rgw = await startRgw()
    await createBucket(rgw, 'main')
  })

  afterAll(() => rgw?.stop())

  testWrapped(() => rgw)
})
