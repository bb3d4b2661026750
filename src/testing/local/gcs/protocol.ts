import type { OutgoingHttpHeaders } from 'node:http'
import type { Answer } from '../answer.ts'
import type { LocalCredentials } from '../cloud.ts'
import type { LocalRequest } from '../request.ts'
import type { Protocol } from '../protocol.ts'
import { deleteBucket, getBucket, insertBucket, listBuckets, patchBucket } from './buckets.ts'
import { demand, queryConditions } from './conditions.ts'
import { compose, copy, move, type Rewritten, rewrite } from './copies.ts'
import { type Inserted, insert, readJson } from './insert.ts'
import type { Keeper } from './keeper.ts'
import { listPage } from './listing.ts'
import { mediaAnswer } from './media.ts'
import { partial } from './partial.ts'
import {
  type Language,
  noObject,
  type Refusal,
  refusalAnswer,
  refusalOf,
  refuse,
  serviceHeaders,
  usual,
} from './refusal.ts'
import { type Described, describedBy, etagOf, type ObjectFacts, patched, resourceOf } from './resource.ts'
import { type Operation, type Route, routeOf } from './route.ts'
import { sessionsOf } from './sessions.ts'
import { signatureCheck } from './signed.ts'
import { xmlAnswer } from './xml.ts'
import type { Entry } from '../store.ts'

export interface ProtocolOptions {
  readonly credentials: LocalCredentials
  /** The only token that opens anything; `undefined`: everything is open, as at an emulator. */
  readonly token: string | undefined
}

/** Google Cloud Storage: its JSON API, its uploads, and as much of its XML API as signed URLs need. */
export function gcsProtocol(keeper: Keeper, { credentials, token }: ProtocolOptions): Protocol {
  const sessions = sessionsOf(keeper)
  const signatures = signatureCheck(credentials)

  /** Upload sessions are their own credential: whoever knows the address may write. */
  function admit(request: LocalRequest, route: Route): void {
    if (route.operation.startsWith('xml.') && signatures.isSigned(route.query)) {
      signatures.check(request, route.query)
      return
    }
    const session = route.operation.startsWith('resumable.') && route.operation !== 'resumable.start'
    if (token === undefined || session || request.headers.authorization === `Bearer ${token}`) return
    refuse(request.headers.authorization === undefined ? anonymous(route) : badToken)
  }

  const handlers: Readonly<Record<Operation, Handler>> = {
    'objects.insert': async (request, route) => shown(await insert(keeper, request, route), route),
    'resumable.start': (request, route) => sessions.start(request, route),
    'resumable.chunk': async (request, route) => shownOr(await sessions.chunk(request, route), route),
    'resumable.query': async (request, route) => shownOr(await sessions.query(request, route), route),
    'resumable.cancel': (_request, route) => sessions.cancel(route),
    'objects.get': (_request, route) => shown(read(route), route),
    media: (request, route) => {
      const { entry } = read(route)
      return mediaAnswer(keeper, entry, request.headers, { etag: etagOf(entry.facts) })
    },
    'objects.list': (request, route) => list(route, request.emptyList),
    'objects.delete': (_request, route) => remove(route),
    'objects.patch': (request, route) => describe(request, route, patched),
    'objects.update': (request, route) => describe(request, route, (_before, said) => describedBy(said)),
    'objects.rewrite': async (request, route) => json(rewriteResource(await rewrite(keeper, request, route)), route),
    'objects.copy': async (request, route) => shown(await copy(keeper, request, route), route),
    'objects.move': (_request, route) => shown(move(keeper, route), route),
    'objects.compose': async (request, route) => shown(await compose(keeper, request, route), route),
    'buckets.insert': async (request, route) => json(await insertBucket(keeper, request), route),
    'buckets.get': (_request, route) => json(getBucket(keeper, route), route),
    'buckets.list': (_request, route) => json(listBuckets(keeper, route), route),
    'buckets.patch': async (request, route) => json(await patchBucket(keeper, request, route), route),
    'buckets.delete': (_request, route) => {
      deleteBucket(keeper, route)
      return { status: 204, headers: serviceHeaders() }
    },
    'xml.get': (request, route) => xmlAnswer(keeper, request, route),
    'xml.head': (request, route) => xmlAnswer(keeper, request, route),
    'xml.put': (request, route) => xmlAnswer(keeper, request, route),
    'xml.delete': (request, route) => xmlAnswer(keeper, request, route),
    preflight: request => ({ status: 200, headers: { ...serviceHeaders(), ...preflight(request) } }),
    unknown: request => refuse(unknownTo(request)),
  }

  function read(route: Route): Inserted {
    const entry = live(route)
    demand(queryConditions(route.query), entry.facts, true)
    return { bucket: route.bucket ?? '', key: route.key ?? '', entry }
  }

  async function describe(
    request: LocalRequest,
    route: Route,
    change: (before: Described, said: unknown) => Described,
  ): Promise<Answer> {
    const said = await readJson(request.body)
    const { bucket = '', key = '', query } = route
    const entry = live(route)
    demand(queryConditions(query), entry.facts)
    return shown({ bucket, key, entry: keeper.describe(bucket, key, entry, change(entry.facts, said)) }, route)
  }

  function live({ bucket = '', key = '', query }: Route): Entry<ObjectFacts> {
    const entry = keeper.find(bucket, key)
    const generation = query.get('generation')
    if (entry === undefined || (generation !== null && generation !== entry.facts.generation)) {
      refuse(noObject(bucket, key))
    }
    return entry
  }

  function remove(route: Route): Answer {
    const { bucket = '', key = '', query } = route
    live(route)
    keeper.remove(bucket, key, queryConditions(query))
    return { status: 204, headers: serviceHeaders() }
  }

  function list(route: Route, empty: boolean): Answer {
    const { bucket = '', query } = route
    const space = keeper.objects(bucket)
    if (empty) return json({ kind: 'storage#objects' }, route)
    const { keys, prefixes, nextPageToken } = listPage(space, query)
    const items = keys.map(key => objectResource({ bucket, key, entry: space.get(key) as Entry<ObjectFacts> }))
    const resource = {
      kind: 'storage#objects',
      ...(nextPageToken === undefined ? {} : { nextPageToken }),
      ...(prefixes.length === 0 ? {} : { prefixes }),
      ...(items.length === 0 ? {} : { items }),
    }
    return json(resource, route)
  }

  return {
    name({ method = 'GET', url = '/', headers }) {
      const { operation, bucket, key } = routeOf(method, url, headers)
      return { operation, bucket, key, listing: operation === 'objects.list' }
    },
    async handle(request) {
      const route = routeOf(request.method, request.url, request.headers)
      const origin = request.headers.origin === undefined ? {} : crossOrigin
      try {
        if (route.operation !== 'preflight' && route.operation !== 'unknown') admit(request, route)
        const made = await handlers[route.operation](request, route)
        return { ...made, headers: { ...made.headers, ...origin } }
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal === undefined) throw error
        const made = refusalAnswer(refusal, languageOf(request))
        return { ...made, headers: { ...made.headers, ...origin } }
      }
    },
    error({ status, code, message }, request) {
      const shape = status === 200 ? errorIn200(code) : { status, ...(usual[status] ?? usual[500]) }
      const refusal: Refusal = {
        status: shape.status,
        reason: code ?? shape.reason ?? 'backendError',
        message: message ?? shape.message ?? 'Error',
        ...(code === undefined ? {} : { xml: code }),
      }
      const made = refusalAnswer(refusal, languageOf(request))
      return request.headers.origin === undefined ? made : { ...made, headers: { ...made.headers, ...crossOrigin } }
    },
    close: () => keeper.store.close(),
  }
}

type Handler = (request: LocalRequest, route: Route) => Answer | Promise<Answer>

function objectResource({ bucket, key, entry }: Inserted): unknown {
  return resourceOf('https://www.googleapis.com', bucket, key, entry.facts, entry.body.size)
}

function rewriteResource({ done, size, written, token }: Rewritten): unknown {
  return {
    kind: 'storage#rewriteResponse',
    totalBytesRewritten: String(written),
    objectSize: String(size),
    done: done !== undefined,
    ...(token === undefined ? {} : { rewriteToken: token }),
    ...(done === undefined ? {} : { resource: objectResource(done) }),
  }
}

function shown(made: Inserted, route: Route): Answer {
  return json(objectResource(made), route)
}

function shownOr(made: Answer | Inserted, route: Route): Answer {
  return 'entry' in made ? shown(made, route) : made
}

function json(resource: unknown, { query }: Route): Answer {
  const body = JSON.stringify(partial(resource, query.get('fields')))
  const headers: OutgoingHttpHeaders = {
    ...serviceHeaders(),
    'content-type': 'application/json; charset=UTF-8',
    'cache-control': 'no-cache, no-store, max-age=0, must-revalidate',
  }
  return { status: 200, headers, body }
}

/** An error inside of a 200 says the status that it should have had. */
function errorIn200(code: string | undefined): { status: number; reason: string; message: string } {
  const found = Object.entries(usual).find(([, { reason }]) => reason === code)
  const [status, { reason, message }] = found ?? ['500', { reason: 'internalError', message: 'Internal error.' }]
  return { status: Number(status), reason, message }
}

function languageOf({ method, url, name }: Pick<LocalRequest, 'method' | 'url' | 'name'>): Language {
  if (name.operation.startsWith('xml.')) return 'xml'
  if (name.operation === 'media') return 'text'
  const isApi = /^\/((upload|download|resumable)\/|storage\/v1\/|b(\/|\?|$))/.test(url)
  return isApi || method === 'OPTIONS' ? 'json' : 'xml'
}

function unknownTo({ method, name }: LocalRequest): Refusal {
  return method === 'GET' || name.bucket === undefined
    ? { status: 404, reason: 'notFound', message: 'Not Found' }
    : { status: 405, reason: 'methodNotAllowed', message: 'The specified method is not allowed against this resource.' }
}

const badToken: Refusal = {
  status: 401,
  reason: 'authError',
  message: 'Invalid Credentials',
  headers: { 'www-authenticate': 'Bearer realm="https://accounts.google.com/", error="invalid_token"' },
}

function anonymous({ operation }: Route): Refusal {
  const right = operation.startsWith('buckets.') ? 'storage.buckets.get' : `storage.${operation}`
  const message = `Anonymous caller does not have ${right} access to the Google Cloud Storage resource.`
  return {
    status: 401,
    reason: 'required',
    message,
    headers: { 'www-authenticate': 'Bearer realm="https://accounts.google.com/"' },
  }
}

const crossOrigin: OutgoingHttpHeaders = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers':
    'content-type, content-length, content-range, etag, location, range, x-goog-generation, x-goog-hash, x-goog-metageneration',
}

function preflight({ headers }: LocalRequest): OutgoingHttpHeaders {
  return {
    ...crossOrigin,
    'access-control-allow-methods': headers['access-control-request-method'] ?? 'GET',
    'access-control-allow-headers': headers['access-control-request-headers'] ?? '*',
    'access-control-max-age': '3600',
  }
}
