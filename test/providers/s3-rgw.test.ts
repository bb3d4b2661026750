import { afterAll, beforeAll, describe } from 'vitest'
import { hasRgw, type Rgw, startRgw } from '../servers/rgw.ts'
import { createBucket, testPlain } from './s3-suite.ts'

describe.skipIf(!hasRgw())('on Ceph', () => {
  let rgw: Rgw

  beforeAll(async () => {
    rgw = await startRgw()
    await createBucket(rgw, 'main')
  })

  afterAll(() => rgw?.stop())

  testPlain(() => rgw)
})
