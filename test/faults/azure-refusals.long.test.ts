import { BlobServiceClient } from '@azure/storage-blob'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { azure } from '../../src/providers/azure.ts'
import { type Azurite, startAzurite } from '../servers/azurite.ts'
import { azureRefusal, startProxy } from './proxy.ts'
import { atOnce, said, survives, type Refusing } from './refusals.ts'

interface Row {
  readonly row: string
  readonly status: number
  readonly code: string
  readonly headers?: Readonly<Record<string, string>>
  /** Then it is over by itself. */
  readonly times?: number
  readonly stops: Refusing['stops']
  readonly reason: Refusing['reason']
}

const anHourAway = { date: new Date(Date.now() + 3_600_000).toUTCString() }

const rows: readonly Row[] = [
  { row: 'A1', status: 503, code: 'ServerBusy', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'A1', status: 500, code: 'OperationTimedOut', stops: 'nothing', reason: 'SERVER' },
  { row: 'A1', status: 500, code: 'InternalError', stops: 'nothing', reason: 'SERVER' },
  { row: 'A1', status: 429, code: 'TooManyRequests', stops: 'nothing', reason: 'THROTTLED' },
  { row: 'A2', status: 409, code: 'BlobAlreadyExists', times: 5, stops: 'nothing', reason: 'CONDITION' },
  { row: 'A2', status: 412, code: 'ConditionNotMet', times: 5, stops: 'nothing', reason: 'CONDITION' },
  { row: 'A3', status: 400, code: 'InvalidBlockList', times: 2, stops: 'nothing', reason: 'UPLOAD_GONE' },
  { row: 'A5', status: 412, code: 'LeaseIdMissing', stops: 'replica', reason: 'RETENTION' },
  { row: 'A5', status: 409, code: 'LeaseAlreadyPresent', stops: 'replica', reason: 'RETENTION' },
  { row: 'A5', status: 409, code: 'LeaseIdMismatchWithBlobOperation', stops: 'replica', reason: 'RETENTION' },
  { row: 'A6', status: 409, code: 'BlobImmutableDueToPolicy', stops: 'replica', reason: 'RETENTION' },
  { row: 'A6', status: 409, code: 'BlobImmutableDueToLegalHold', stops: 'replica', reason: 'RETENTION' },
  { row: 'A7', status: 403, code: 'AuthenticationFailed', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'A7', status: 403, code: 'AuthenticationFailed', headers: anHourAway, stops: 'provider', reason: 'CLOCK' },
  { row: 'A7', status: 403, code: 'AuthorizationFailure', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'A7', status: 401, code: 'InvalidAuthenticationInfo', stops: 'provider', reason: 'CREDENTIALS' },
  { row: 'A7', status: 403, code: 'AuthorizationPermissionMismatch', stops: 'replica', reason: 'FORBIDDEN' },
  { row: 'A7', status: 403, code: 'AuthorizationPermissionMismatch', stops: 'provider', reason: 'FORBIDDEN' },
  { row: 'A7', status: 403, code: 'AccountIsDisabled', stops: 'provider', reason: 'ACCOUNT' },
  { row: 'A7', status: 403, code: 'KeyVaultEncryptionKeyNotFound', stops: 'replica', reason: 'KMS' },
  { row: 'A8', status: 404, code: 'ContainerNotFound', stops: 'provider', reason: 'BUCKET' },
  { row: 'A8', status: 409, code: 'ContainerBeingDeleted', stops: 'provider', reason: 'BUCKET' },
  { row: 'A9', status: 409, code: 'BlobArchived', stops: 'replica', reason: 'RETENTION' },
  { row: 'A9', status: 409, code: 'BlobBeingRehydrated', stops: 'replica', reason: 'RETENTION' },
  { row: 'A10', status: 400, code: 'Md5Mismatch', times: 3, stops: 'nothing', reason: 'DIGEST' },
  { row: 'A10', status: 400, code: 'Md5Mismatch', stops: 'replica', reason: 'MISMATCH' },
  { row: 'A12', status: 409, code: 'InvalidBlobType', stops: 'replica', reason: 'CONFLICT' },
  { row: 'A12', status: 409, code: 'ResourceTypeMismatch', stops: 'replica', reason: 'CONFLICT' },
]

const containerOf = (index: number): string => `row-${index}`

describe('a container of Azure that begins to refuse', () => {
  let azurite: Azurite
  let running: readonly Promise<void>[] = []

  beforeAll(async () => {
    azurite = await startAzurite()
    const client = BlobServiceClient.fromConnectionString(azurite.connectionString)
    for (const index of rows.keys()) await client.getContainerClient(containerOf(index)).create()
    running = atOnce(rows.map((row, index) => () => run(row, index)))
  })
  afterAll(() => azurite.stop())

  for (const [index, row] of rows.entries()) {
    test(`${said(row)} (${row.row}, I9, I14, I29, I33, I48)`, () => running[index], 120_000)
  }

  async function run({ status, code, headers, times, stops, reason }: Row, index: number): Promise<void> {
    await using proxy = await startProxy(azurite.endpoint)
    const { accountName, accountKey } = azurite
    let counted = 0
    let left = times ?? Number.POSITIVE_INFINITY
    await survives({
      provider: azure({
        container: containerOf(index),
        endpoint: `${proxy.endpoint}/${accountName}`,
        accountName,
        accountKey,
      }),
      stops,
      reason,
      async refuse() {
        proxy.rule = ({ method, url }) => {
          const isMeant = stops === 'provider' || (method === 'PUT' && url.endsWith('/refused'))
          if (!isMeant || left-- <= 0) return undefined
          return { passes: false, tells: azureRefusal(status, code, headers) }
        }
      },
      async heal() {
        proxy.rule = () => undefined
      },
      async requests() {
        const since = proxy.requests.length - counted
        counted = proxy.requests.length
        return since
      },
    })
  }
})
