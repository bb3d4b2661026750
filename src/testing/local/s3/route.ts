import type { IncomingMessage } from 'node:http'
import type { RequestName } from '../faults.ts'

/** Where a request goes and what it asks for, out of its first line and headers. */
export interface Route extends RequestName {
  /** As on the wire, without the query. */
  readonly path: string
  /** Decoded names and values, in order. */
  readonly query: readonly (readonly [name: string, value: string])[]
  /** The path or the query cannot be decoded. */
  readonly malformed: boolean
}

/** Query names that choose another operation than the plain one, with what the operation is called. */
const bucketConfigurations: Readonly<Record<string, string>> = {
  accelerate: 'BucketAccelerateConfiguration',
  acl: 'BucketAcl',
  analytics: 'BucketAnalyticsConfiguration',
  cors: 'BucketCors',
  encryption: 'BucketEncryption',
  'intelligent-tiering': 'BucketIntelligentTieringConfiguration',
  inventory: 'BucketInventoryConfiguration',
  lifecycle: 'BucketLifecycleConfiguration',
  logging: 'BucketLogging',
  metadataConfiguration: 'BucketMetadataConfiguration',
  metadataTable: 'BucketMetadataTableConfiguration',
  metrics: 'BucketMetricsConfiguration',
  notification: 'BucketNotificationConfiguration',
  'object-lock': 'ObjectLockConfiguration',
  ownershipControls: 'BucketOwnershipControls',
  policy: 'BucketPolicy',
  policyStatus: 'BucketPolicyStatus',
  publicAccessBlock: 'PublicAccessBlock',
  replication: 'BucketReplication',
  requestPayment: 'BucketRequestPayment',
  session: 'Session',
  tagging: 'BucketTagging',
  versioning: 'BucketVersioning',
  website: 'BucketWebsite',
}

const objectConfigurations: Readonly<Record<string, string>> = {
  acl: 'ObjectAcl',
  'legal-hold': 'ObjectLegalHold',
  renameObject: 'ObjectRename',
  restore: 'ObjectRestore',
  retention: 'ObjectRetention',
  select: 'ObjectContentSelect',
  tagging: 'ObjectTagging',
  torrent: 'ObjectTorrent',
}

const verbs: Readonly<Record<string, string>> = { GET: 'Get', HEAD: 'Head', PUT: 'Put', POST: 'Post', DELETE: 'Delete' }

/** Path-style only: `/<bucket>/<key>`. */
export function routeOf({ method = 'GET', url = '/', headers }: IncomingMessage): Route {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const query = mark < 0 ? [] : queryOf(url.slice(mark + 1))
  const slash = path.indexOf('/', 1)
  const rawBucket = slash < 0 ? path.slice(1) : path.slice(1, slash)
  const rawKey = slash < 0 ? '' : path.slice(slash + 1)
  const bucket = decoded(rawBucket)
  const key = decoded(rawKey)
  const operation =
    method === 'OPTIONS'
      ? 'Preflight'
      : rawBucket === ''
        ? serviceOperation(method)
        : rawKey === ''
          ? bucketOperation(method, query ?? [])
          : objectOperation(method, query ?? [], headers['x-amz-copy-source'] !== undefined)
  return {
    operation,
    bucket: rawBucket === '' ? undefined : bucket,
    key: rawKey === '' ? undefined : key,
    listing: operation === 'ListObjects' || operation === 'ListObjectsV2',
    path,
    query: query ?? [],
    malformed: bucket === undefined || key === undefined || query === undefined || !path.startsWith('/'),
  }
}

/** The value of a query parameter; its first, where it is there more than once. */
export function parameter(query: Route['query'], name: string): string | undefined {
  return query.find(([each]) => each === name)?.[1]
}

function serviceOperation(method: string): string {
  return method === 'GET' ? 'ListBuckets' : `${verbs[method] ?? method}Service`
}

function bucketOperation(method: string, query: Route['query']): string {
  const configuration = query.find(([name]) => Object.hasOwn(bucketConfigurations, name))
  if (configuration !== undefined) return `${verbs[method] ?? method}${bucketConfigurations[configuration[0]] ?? ''}`
  const given = (name: string): boolean => parameter(query, name) !== undefined
  switch (method) {
    case 'GET':
      if (given('location')) return 'GetBucketLocation'
      if (given('uploads')) return 'ListMultipartUploads'
      if (given('versions')) return 'ListObjectVersions'
      return parameter(query, 'list-type') === '2' ? 'ListObjectsV2' : 'ListObjects'
    case 'PUT':
      return 'CreateBucket'
    case 'HEAD':
      return 'HeadBucket'
    case 'DELETE':
      return 'DeleteBucket'
    case 'POST':
      return given('delete') ? 'DeleteObjects' : 'PostObject'
    default:
      return `${method}Bucket`
  }
}

function objectOperation(method: string, query: Route['query'], copying: boolean): string {
  const configuration = query.find(([name]) => Object.hasOwn(objectConfigurations, name))
  if (configuration !== undefined) return `${verbs[method] ?? method}${objectConfigurations[configuration[0]] ?? ''}`
  const given = (name: string): boolean => parameter(query, name) !== undefined
  switch (method) {
    case 'GET':
      if (given('uploadId')) return 'ListParts'
      return given('attributes') ? 'GetObjectAttributes' : 'GetObject'
    case 'HEAD':
      return 'HeadObject'
    case 'PUT':
      if (given('uploadId') || given('partNumber')) return copying ? 'UploadPartCopy' : 'UploadPart'
      return copying ? 'CopyObject' : 'PutObject'
    case 'POST':
      if (given('uploads')) return 'CreateMultipartUpload'
      return given('uploadId') ? 'CompleteMultipartUpload' : 'PostToObject'
    case 'DELETE':
      return given('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject'
    default:
      return `${method}Object`
  }
}

function queryOf(raw: string): [string, string][] | undefined {
  const pairs: [string, string][] = []
  for (const part of raw.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = decoded(plusAsSpace(equals < 0 ? part : part.slice(0, equals)))
    const value = decoded(plusAsSpace(equals < 0 ? '' : part.slice(equals + 1)))
    if (name === undefined || value === undefined) return undefined
    pairs.push([name, value])
  }
  return pairs
}

function plusAsSpace(raw: string): string {
  return raw.includes('+') ? raw.replaceAll('+', ' ') : raw
}

function decoded(raw: string): string | undefined {
  if (!raw.includes('%')) return raw
  try {
    return decodeURIComponent(raw)
  } catch {
    return undefined
  }
}
