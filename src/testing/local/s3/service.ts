import { randomBytes } from 'node:crypto'
import type { Answer } from '../answer.ts'
import type { LocalCredentials } from '../cloud.ts'
import type { LocalRequest } from '../request.ts'
import type { Failure, Protocol } from '../protocol.ts'
import type { Store } from '../store.ts'
import { createBucket, deleteBucket, deleteObjects, getBucketLocation, headBucket, listBuckets } from './buckets.ts'
import {
  bucketOf,
  type BucketFacts,
  type Call,
  type ObjectFacts,
  type PartFacts,
  type State,
  type UploadFacts,
} from './call.ts'
import { completeMultipartUpload } from './complete.ts'
import { copyObject, uploadPartCopy } from './copy.ts'
import { listObjects, listObjectsV2 } from './listing.ts'
import { abortMultipartUpload, createMultipartUpload, uploadPart } from './multipart.ts'
import { deleteObject, getObject, getObjectAttributes, putObject } from './objects.ts'
import { Refusal, usualCode, usualMessage } from './refusal.ts'
import { routeOf, type Route } from './route.ts'
import { signatureChecker } from './signature.ts'
import { getObjectAcl, getObjectTagging } from './subresources.ts'
import { listMultipartUploads, listParts } from './uploads.ts'
import { element, text } from './xml.ts'

const operations: Readonly<Record<string, (call: Call) => Promise<Answer>>> = {
  AbortMultipartUpload: abortMultipartUpload,
  CompleteMultipartUpload: completeMultipartUpload,
  CopyObject: copyObject,
  CreateBucket: createBucket,
  CreateMultipartUpload: createMultipartUpload,
  DeleteBucket: deleteBucket,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  GetBucketLocation: getBucketLocation,
  GetObject: getObject,
  GetObjectAcl: getObjectAcl,
  GetObjectAttributes: getObjectAttributes,
  GetObjectTagging: getObjectTagging,
  HeadBucket: headBucket,
  HeadObject: getObject,
  ListBuckets: listBuckets,
  ListMultipartUploads: listMultipartUploads,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ListParts: listParts,
  PutObject: putObject,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
}

export function stateOf(store: Store): State {
  return {
    store,
    buckets: store.space<BucketFacts>('buckets'),
    objects: bucket => store.space<ObjectFacts>(`objects ${bucket}`),
    uploads: bucket => store.space<UploadFacts>(`uploads ${bucket}`),
    parts: id => store.space<PartFacts>(`parts ${id}`),
  }
}

/** S3, as a protocol that a local server speaks. */
export function s3Service(state: State, credentials: LocalCredentials): Protocol {
  const check = signatureChecker(credentials)
  const run = randomBytes(4).toString('hex').toUpperCase()
  const hostId = randomBytes(56).toString('base64')
  let asked = 0

  /** The headers that every answer of S3 has, and those that browsers need. */
  function finished(answer: Answer, request: Pick<LocalRequest, 'headers'>, requestId: string): Answer {
    const headers: Record<string, string> = {
      'x-amz-id-2': hostId,
      'x-amz-request-id': requestId,
      server: 'AmazonS3',
      ...(answer.headers as Record<string, string>),
    }
    if (request.headers.origin !== undefined) {
      // A bucket's rules would name them; here a page may read them all.
      headers['access-control-expose-headers'] = Object.keys(headers).join(', ')
      headers['access-control-allow-origin'] = '*'
      headers['vary'] = 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method'
    }
    return { ...answer, headers }
  }

  function newRequestId(): string {
    return `${run}${(asked++).toString(16).toUpperCase().padStart(8, '0')}`
  }

  async function answer(request: LocalRequest, requestId: string): Promise<Answer> {
    const route = request.name as Route
    try {
      if (route.malformed) throw new Refusal('InvalidURI', { URI: route.path })
      if (route.operation === 'Preflight') return preflight(request)
      const signed = check(request, route)
      const call: Call = { request: heeded(request), route, signed, state }
      const operation = operations[route.operation]
      if (operation !== undefined) return await operation(call)
      if (route.bucket !== undefined) bucketOf(call)
      if (route.operation === 'PostObject' || route.operation === 'PostToObject')
        throw new Refusal('MethodNotAllowed', { Method: request.method, ResourceType: 'OBJECT' })
      throw new Refusal('NotImplemented', {}, `This server has no ${route.operation}.`)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return refused(error, request, requestId)
    }
  }

  function refused(refusal: Refusal, request: LocalRequest, requestId: string): Answer {
    const { code, status, message, details } = refusal
    if (code === 'NotModified') return { status, headers: notModifiedHeaders(request) }
    const headers: Record<string, string> = { 'content-type': 'application/xml' }
    if (code === 'InvalidRange') headers['content-range'] = `bytes */${details['ActualObjectSize'] ?? '*'}`
    return { status, headers, body: errorXml(code, message, details, request.name as Route, requestId) }
  }

  /** A 304 says which version it is about. */
  function notModifiedHeaders({ name: { bucket = '', key = '' } }: LocalRequest): Record<string, string> {
    const facts = state.objects(bucket).get(key)?.facts
    if (facts === undefined) return {}
    return { etag: `"${facts.etag}"`, 'last-modified': new Date(facts.modifiedAt).toUTCString() }
  }

  function errorXml(
    code: string,
    message: string,
    details: Readonly<Record<string, string | number>>,
    route: Route,
    requestId: string,
  ): string {
    const all: Record<string, string | number> = { ...details }
    if (route.key !== undefined && code === 'NoSuchKey') all['Key'] ??= route.key
    all['Resource'] ??= route.path
    const rest = Object.entries(all).map(([name, value]) => text(name, value))
    const about = [text('Code', code), text('Message', message), ...rest]
    return `<?xml version="1.0" encoding="UTF-8"?>\n${element('Error', ...about, text('RequestId', requestId), text('HostId', hostId))}`
  }

  return {
    name: routeOf,
    async handle(request) {
      const requestId = newRequestId()
      return finished(await answer(request, requestId), request, requestId)
    },
    error({ status, code, message }: Failure, request) {
      const requestId = newRequestId()
      const named = code ?? usualCode(status)
      const body = errorXml(named, message ?? usualMessage(named), {}, request.name as Route, requestId)
      return finished({ status, headers: { 'content-type': 'application/xml' }, body }, request, requestId)
    },
    close: () => state.store.close(),
  }
}

function heeded(request: LocalRequest): LocalRequest {
  if (request.unheeded.length === 0) return request
  const headers = { ...request.headers }
  for (const name of request.unheeded) delete headers[name]
  return { ...request, headers }
}

/** Any origin may do anything: who may is told by the signature. */
function preflight({ headers }: LocalRequest): Answer {
  const method = headers['access-control-request-method']
  if (headers.origin === undefined || method === undefined)
    throw new Refusal('InvalidRequest', {}, 'Insufficient information. Origin request header needed.')
  return {
    status: 200,
    headers: {
      'access-control-allow-methods': 'GET, PUT, POST, DELETE, HEAD',
      'access-control-allow-headers': headers['access-control-request-headers'] ?? '*',
      'access-control-max-age': '3000',
    },
  }
}
