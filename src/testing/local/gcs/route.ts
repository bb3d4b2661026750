import type { IncomingHttpHeaders } from 'node:http'

/**
 * What a request asks for. In fault rules these are the operations:
 * `objects.insert` (an upload in one request), `resumable.start`, `resumable.chunk`, `resumable.query` and `resumable.cancel` (an upload
 * in several), `objects.get`, `media` (the bytes), `objects.list`, `objects.delete`, `objects.patch`, `objects.update`,
 * `objects.rewrite`, `objects.copy`, `objects.move`, `objects.compose`, `buckets.insert`, `buckets.get`, `buckets.list`,
 * `buckets.patch`, `buckets.delete`, `xml.get`, `xml.head`, `xml.put`, `xml.delete` (signed URLs), `preflight` and `unknown`.
 */
export type Operation =
  | 'objects.insert'
  | 'resumable.start'
  | 'resumable.chunk'
  | 'resumable.query'
  | 'resumable.cancel'
  | 'objects.get'
  | 'media'
  | 'objects.list'
  | 'objects.delete'
  | 'objects.patch'
  | 'objects.update'
  | 'objects.rewrite'
  | 'objects.copy'
  | 'objects.move'
  | 'objects.compose'
  | 'buckets.insert'
  | 'buckets.get'
  | 'buckets.list'
  | 'buckets.patch'
  | 'buckets.delete'
  | 'xml.get'
  | 'xml.head'
  | 'xml.put'
  | 'xml.delete'
  | 'preflight'
  | 'unknown'

export interface Route {
  readonly operation: Operation
  readonly bucket: string | undefined
  readonly key: string | undefined
  /** Of a copy or move. */
  readonly to: { readonly bucket: string; readonly key: string } | undefined
  readonly query: URLSearchParams
}

/** From the head of a request alone. `unknown` where it is nothing that the service has. */
export function routeOf(method: string, url: string, headers: IncomingHttpHeaders): Route {
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  const query = new URLSearchParams(at < 0 ? '' : url.slice(at + 1))
  const none: Route = { operation: 'unknown', bucket: undefined, key: undefined, to: undefined, query }
  if (method === 'OPTIONS') return { ...none, operation: 'preflight' }
  const api = /^\/(upload\/|resumable\/upload\/|download\/)?(?:storage\/v1\/)?b(?:\/(.*))?$/.exec(path)
  const segments = decoded(api === null ? path.slice(1) : (api[2] ?? ''))
  if (segments === undefined) return none
  if (api === null) return xmlRoute(method, segments, none)
  const [bucket, o, key, verb, ...rest] = segments
  if (bucket === undefined || bucket === '') return { ...none, operation: bucketsOperation(method, false) }
  if (o === undefined) return { ...none, bucket, operation: bucketsOperation(method, true) }
  if (o !== 'o') return { ...none, bucket }
  if (api[1]?.includes('upload') === true) {
    const operation = key === undefined ? uploadOperation(method, query, headers) : 'unknown'
    return { ...none, bucket, key: query.get('name') ?? undefined, operation }
  }
  if (key === undefined) return { ...none, bucket, operation: method === 'GET' ? 'objects.list' : 'unknown' }
  const named = { ...none, bucket, key }
  return verb === undefined
    ? { ...named, operation: objectOperation(method, query) }
    : { ...named, ...verbOf(method, bucket, verb, rest) }
}

/** Segments of a path, each decoded; a name with a slash in it is one segment. */
function decoded(path: string): string[] | undefined {
  try {
    return path === '' ? [] : path.split('/').map(decodeURIComponent)
  } catch {
    return undefined
  }
}

function xmlRoute(method: string, segments: readonly string[], none: Route): Route {
  const [bucket, ...rest] = segments
  const key = rest.join('/')
  if (bucket === undefined || key === '') return { ...none, bucket }
  const operations: Readonly<Record<string, Operation>> = {
    GET: 'xml.get',
    HEAD: 'xml.head',
    PUT: 'xml.put',
    DELETE: 'xml.delete',
  }
  return { ...none, bucket, key, operation: operations[method] ?? 'unknown' }
}

function bucketsOperation(method: string, named: boolean): Operation {
  if (!named) return method === 'GET' ? 'buckets.list' : method === 'POST' ? 'buckets.insert' : 'unknown'
  if (method === 'GET') return 'buckets.get'
  if (method === 'DELETE') return 'buckets.delete'
  return method === 'PATCH' || method === 'PUT' ? 'buckets.patch' : 'unknown'
}

function uploadOperation(method: string, query: URLSearchParams, headers: IncomingHttpHeaders): Operation {
  if (query.get('uploadType') !== 'resumable') return method === 'POST' ? 'objects.insert' : 'unknown'
  if (!query.has('upload_id')) return method === 'POST' ? 'resumable.start' : 'unknown'
  if (method === 'DELETE') return 'resumable.cancel'
  if (method !== 'PUT') return 'unknown'
  return headers['content-range']?.startsWith('bytes */') === true ? 'resumable.query' : 'resumable.chunk'
}

function objectOperation(method: string, query: URLSearchParams): Operation {
  switch (method) {
    case 'GET':
      return query.get('alt') === 'media' ? 'media' : 'objects.get'
    case 'DELETE':
      return 'objects.delete'
    case 'PATCH':
      return 'objects.patch'
    case 'PUT':
      return 'objects.update'
    default:
      return 'unknown'
  }
}

function verbOf(
  method: string,
  bucket: string,
  verb: string,
  rest: readonly string[],
): Partial<Route> & { operation: Operation } {
  if (method !== 'POST') return { operation: 'unknown' }
  if (verb === 'compose' && rest.length === 0) return { operation: 'objects.compose' }
  if (verb === 'moveTo' && rest[0] === 'o' && rest[1] !== undefined && rest.length === 2) {
    return { operation: 'objects.move', to: { bucket, key: rest[1] } }
  }
  const [b, toBucket, o, toKey] = rest
  if (b !== 'b' || toBucket === undefined || o !== 'o' || toKey === undefined || rest.length > 4) {
    return { operation: 'unknown' }
  }
  const to = { bucket: toBucket, key: toKey }
  if (verb === 'rewriteTo') return { operation: 'objects.rewrite', to }
  return verb === 'copyTo' ? { operation: 'objects.copy', to } : { operation: 'unknown' }
}
