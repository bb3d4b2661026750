import { afterAll, beforeAll, describe, test } from 'vitest'
import { s3 } from '../../src/providers/s3.ts'
import type { FaultRule, LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { atOnce, said, survives, type Refusing } from './refusals.ts'

interface Row {
  readonly row: string
  readonly status: number
  readonly code: string
  readonly message?: string
  /** Then it is over by itself. */
  readonly times?: number
  readonly stops: Refusing['stops']
  readonly reason: Refusing['reason']
}

const isOfKms = 'User is not authorized to perform: kms:GenerateDataKey on this resource'
const isLocked = 'Access Denied because object protected by object lock.'

const rows: readonly Row[] = [
  { row: 'S1', status: 503, code: 'SlowDown', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'S1', status: 503, code: 'ServiceUnavailable', stops: 'nothing', reason: 'SERVER' },
  { row: 'S1', status: 500, code: 'InternalError', stops: 'nothing', reason: 'SERVER' },
  { row: 'S1', status: 429, code: 'TooManyRequestsException', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'S4', status: 400, code: 'RequestTimeout', stops: 'nothing', reason: 'NETWORK' },
  { row: 'S4', status: 400, code: 'IncompleteBody', stops: 'nothing', reason: 'NETWORK' },
  // Sent again only so often: then somebody has to look.
  { row: 'S4', status: 400, code: 'BadDigest', times: 3, stops: 'nothing', reason: 'DIGEST' },
  { row: 'S4', status: 400, code: 'XAmzContentSHA256Mismatch', times: 3, stops: 'nothing', reason: 'DIGEST' },
  { row: 'S4', status: 400, code: 'BadDigest', stops: 'replica', reason: 'MISMATCH' },
  { row: 'S4', status: 400, code: 'EntityTooLarge', stops: 'replica', reason: 'REFUSED' },
  { row: 'S4', status: 400, code: 'MalformedXML', stops: 'replica', reason: 'REFUSED' },
  { row: 'S5', status: 403, code: 'AccessDenied', stops: 'replica', reason: 'FORBIDDEN' },
  { row: 'S5', status: 403, code: 'AccessDenied', stops: 'provider', reason: 'FORBIDDEN' },
  { row: 'S5', status: 403, code: 'InvalidAccessKeyId', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'S5', status: 403, code: 'SignatureDoesNotMatch', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'S5', status: 400, code: 'ExpiredToken', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'S5', status: 400, code: 'TokenRefreshRequired', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'S5', status: 403, code: 'RequestTimeTooSkewed', stops: 'provider', reason: 'CLOCK' },
  { row: 'S6', status: 403, code: 'AllAccessDisabled', stops: 'provider', reason: 'ACCOUNT' },
  { row: 'S6', status: 403, code: 'AccountProblem', stops: 'provider', reason: 'ACCOUNT' },
  { row: 'S6', status: 403, code: 'NotSignedUp', stops: 'provider', reason: 'ACCOUNT' },
  { row: 'S7', status: 404, code: 'NoSuchBucket', stops: 'provider', reason: 'BUCKET' },
  { row: 'S9', status: 301, code: 'PermanentRedirect', stops: 'provider', reason: 'REGION' },
  { row: 'S9', status: 307, code: 'TemporaryRedirect', stops: 'provider', reason: 'REGION' },
  { row: 'S9', status: 400, code: 'IllegalLocationConstraintException', stops: 'provider', reason: 'REGION' },
  { row: 'S10', status: 400, code: 'KMS.DisabledException', stops: 'replica', reason: 'KMS' },
  { row: 'S10', status: 400, code: 'KMS.NotFoundException', stops: 'replica', reason: 'KMS' },
  { row: 'S10', status: 400, code: 'KMS.KMSInvalidStateException', stops: 'replica', reason: 'KMS' },
  { row: 'S10', status: 403, code: 'AccessDenied', message: isOfKms, stops: 'replica', reason: 'KMS' },
  { row: 'S10', status: 503, code: 'KMS.ThrottlingException', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'S10', status: 400, code: 'KMS.ThrottlingException', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'S11', status: 403, code: 'AccessDenied', message: isLocked, stops: 'replica', reason: 'RETENTION' },
  { row: 'S13', status: 409, code: 'OperationAborted', stops: 'nothing', reason: 'SERVER' },
  { row: 'S13', status: 409, code: 'ConditionalRequestConflict', times: 5, stops: 'nothing', reason: 'CONDITION' },
  { row: 'S14', status: 501, code: 'NotImplemented', stops: 'replica', reason: 'REFUSED' },
]

const bucketOf = (index: number): string => `row-${index}`

describe('a bucket of S3 that begins to refuse', () => {
  let cloud: LocalCloud
  let running: readonly Promise<void>[] = []

  beforeAll(async () => {
    cloud = await startLocalS3({ buckets: rows.map((_row, index) => bucketOf(index)) })
    running = atOnce(rows.map((row, index) => () => run(row, index)))
  })
  afterAll(() => cloud.stop())

  for (const [index, row] of rows.entries()) {
    test(`${said(row)} (${row.row}, I9, I14, I29, I33, I48)`, () => running[index], 120_000)
  }

  async function run({ status, code, message, times, stops, reason }: Row, index: number): Promise<void> {
    const bucket = bucketOf(index)
    const of = stops === 'provider' ? { bucket } : { bucket, key: 'refused', method: 'PUT' }
    const rule: FaultRule = {
      match: of,
      ...(times === undefined ? {} : { times }),
      fault: { kind: 'status', status, code, ...(message === undefined ? {} : { message }) },
    }
    let id = ''
    let counted = 0
    await survives({
      provider: s3({
        bucket,
        endpoint: cloud.endpoint,
        credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
      }),
      stops,
      reason,
      refuse: async () => {
        id = await cloud.fault(rule)
      },
      heal: () => cloud.heal(id),
      async requests() {
        const all = (await cloud.requests()).filter(seen => seen.bucket === bucket).length
        const since = all - counted
        counted = all
        return since
      },
    })
  }
})
