import { afterAll, beforeAll, describe, test } from 'vitest'
import { gcs } from '../../src/providers/gcs.ts'
import type { FaultRule, LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { atOnce, said, survives, type Refusing } from './refusals.ts'

interface Row {
  readonly row: string
  readonly status: number
  readonly code?: string
  readonly message?: string
  /** Then it is over by itself. */
  readonly times?: number
  readonly stops: Refusing['stops']
  readonly reason: Refusing['reason']
}

const otherHash = `Provided MD5 hash "kAFQmDzST7DWlj99KOF/cg==" doesn't match calculated MD5 hash "XUFAKrxLKna5cZ2REBfFkg==".`
const noBilling = 'The billing account for the owning project is disabled in state absent'
const noBucket = 'The specified bucket does not exist.'

const rows: readonly Row[] = [
  { row: 'G1', status: 429, code: 'rateLimitExceeded', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'G1', status: 403, code: 'rateLimitExceeded', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'G2', status: 408, stops: 'nothing', reason: 'TIMEOUT' },
  { row: 'G2', status: 500, stops: 'nothing', reason: 'SERVER' },
  { row: 'G2', status: 502, stops: 'nothing', reason: 'SERVER' },
  { row: 'G2', status: 503, code: 'backendError', stops: 'nothing', reason: 'SERVER' },
  { row: 'G2', status: 504, stops: 'nothing', reason: 'SERVER' },
  { row: 'G3', status: 412, code: 'conditionNotMet', times: 5, stops: 'nothing', reason: 'CONDITION' },
  { row: 'G5', status: 400, code: 'invalid', message: otherHash, times: 3, stops: 'nothing', reason: 'DIGEST' },
  { row: 'G5', status: 400, code: 'invalid', message: otherHash, stops: 'replica', reason: 'MISMATCH' },
  { row: 'G7', status: 403, code: 'retentionPolicyNotMet', stops: 'replica', reason: 'RETENTION' },
  { row: 'G7', status: 403, code: 'objectUnderActiveHold', stops: 'replica', reason: 'RETENTION' },
  { row: 'G8', status: 401, code: 'authError', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'G8', status: 403, code: 'forbidden', stops: 'replica', reason: 'FORBIDDEN' },
  { row: 'G8', status: 403, code: 'insufficientPermissions', stops: 'provider', reason: 'FORBIDDEN' },
  { row: 'G8', status: 400, code: 'cloudKmsDisabledKey', stops: 'replica', reason: 'KMS' },
  { row: 'G9', status: 403, code: 'accountDisabled', stops: 'provider', reason: 'ACCOUNT' },
  { row: 'G9', status: 403, code: 'UserProjectAccountProblem', stops: 'provider', reason: 'ACCOUNT' },
  { row: 'G9', status: 403, code: 'forbidden', message: noBilling, stops: 'provider', reason: 'ACCOUNT' },
  { row: 'G9', status: 404, code: 'notFound', message: noBucket, stops: 'provider', reason: 'BUCKET' },
]

const bucketOf = (index: number): string => `row-${index}`

describe('a bucket of Google that begins to refuse', () => {
  let cloud: LocalCloud
  let running: readonly Promise<void>[] = []

  beforeAll(async () => {
    cloud = await startLocalGcs({ buckets: rows.map((_row, index) => bucketOf(index)) })
    running = atOnce(rows.map((row, index) => () => run(row, index)))
  })
  afterAll(() => cloud.stop())

  for (const [index, row] of rows.entries()) {
    test(`${said(row)} (${row.row}, I9, I14, I29, I33, I48)`, () => running[index], 120_000)
  }

  async function run({ status, code, message, times, stops, reason }: Row, index: number): Promise<void> {
    const bucket = bucketOf(index)
    // The key of an insert is in its query, and in that of its session.
    const of = stops === 'provider' ? { bucket } : { bucket, key: 'refused', method: 'POST' }
    const said = { ...(code === undefined ? {} : { code }), ...(message === undefined ? {} : { message }) }
    const rule: FaultRule = {
      match: of,
      ...(times === undefined ? {} : { times }),
      fault: { kind: 'status', status, ...said },
    }
    let id = ''
    let counted = 0
    await survives({
      provider: gcs({ bucket, apiEndpoint: cloud.endpoint, projectId: 'any' }),
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
