import { emptyBody, joined } from '../bodies.ts'
import type { LocalRequest } from '../request.ts'
import type { Entry } from '../store.ts'
import { type Conditions, demand, queryConditions } from './conditions.ts'
import { type Inserted, readJson } from './insert.ts'
import type { Keeper } from './keeper.ts'
import { invalidArgument, noObject, refuse } from './refusal.ts'
import { checkName, describedBy, type Described, type ObjectFacts } from './resource.ts'
import type { Route } from './route.ts'

const mostSources = 32
const componentLimit = 1_048_576

/** What a rewrite has done: all, or a part, with the token that goes on. */
export interface Rewritten {
  readonly done: Inserted | undefined
  readonly size: number
  readonly written: number
  readonly token: string | undefined
}

/** The whole at once, unless `maxBytesRewrittenPerCall` asks for pieces. Without a description the source's is taken over. */
export async function rewrite(keeper: Keeper, request: LocalRequest, route: Route): Promise<Rewritten> {
  const description = await readJson(request.body)
  const { from, to } = endsOf(keeper, route)
  const size = from.body.size
  const per = Number(route.query.get('maxBytesRewrittenPerCall') ?? size)
  const before = tokenOf(route.query.get('rewriteToken'), from.facts.generation)
  const written = Math.min(size, before + Math.max(1, per))
  if (written < size) {
    const token = Buffer.from(JSON.stringify([written, from.facts.generation])).toString('base64url')
    return { done: undefined, size, written, token }
  }
  return { done: put(keeper, route, from, to, description), size, written: size, token: undefined }
}

export async function copy(keeper: Keeper, request: LocalRequest, route: Route): Promise<Inserted> {
  const description = await readJson(request.body)
  const { from, to } = endsOf(keeper, route)
  return put(keeper, route, from, to, description)
}

export function move(keeper: Keeper, route: Route): Inserted {
  const { bucket = '', key = '' } = route
  const { from, to } = endsOf(keeper, route)
  if (to.key === key) refuse(invalidArgument('The source and destination of a move are the same.'))
  const gone = keeper.objects(bucket).remove(key)
  return put(keeper, route, from, to, {}, [gone])
}

/** Objects of one bucket, one after the other. The sum has no MD5. */
export async function compose(keeper: Keeper, request: LocalRequest, route: Route): Promise<Inserted> {
  const { bucket = '', key = '', query } = route
  const asked = (await readJson(request.body)) as { sourceObjects?: unknown; destination?: unknown } | null
  const sources = Array.isArray(asked?.sourceObjects) ? (asked.sourceObjects as unknown[]) : []
  if (sources.length === 0)
    refuse({ status: 400, reason: 'required', message: 'You must provide at least one source component.' })
  if (sources.length > mostSources) {
    refuse(
      invalidArgument(
        `The number of source components provided (${sources.length}) exceeds the maximum (${mostSources})`,
      ),
    )
  }
  checkName(key)
  const entries = sources.map(source => sourceOf(keeper, bucket, source))
  const componentCount = entries.reduce((sum, { facts }) => sum + (facts.componentCount ?? 1), 0)
  if (componentCount > componentLimit) refuse(invalidArgument('The number of components is over the limit.'))
  const body = joined(entries.map(entry => entry.body))
  const { crc32c } = await keeper.digest(body)
  const described: Described = { contentType: 'application/octet-stream', ...describedBy(asked?.destination ?? {}) }
  const entry = keeper.put({ bucket, key, described, body, sums: { crc32c }, componentCount }, queryConditions(query))
  return { bucket, key, entry }
}

function sourceOf(keeper: Keeper, bucket: string, source: unknown): Entry<ObjectFacts> {
  const { name, generation, objectPreconditions } = (source ?? {}) as {
    name?: unknown
    generation?: string | number
    objectPreconditions?: { ifGenerationMatch?: string | number }
  }
  if (typeof name !== 'string') refuse(invalidArgument('Each source component must have a name.'))
  const entry = keeper.find(bucket, name)
  if (entry === undefined || (generation !== undefined && String(generation) !== entry.facts.generation)) {
    refuse(noObject(bucket, name))
  }
  const match = objectPreconditions?.ifGenerationMatch
  if (match !== undefined) demand({ generationMatch: String(match) }, entry.facts)
  return entry
}

function endsOf(keeper: Keeper, route: Route): { from: Entry<ObjectFacts>; to: { bucket: string; key: string } } {
  const { bucket = '', key = '', to, query } = route
  if (to === undefined) refuse({ status: 404, reason: 'notFound', message: 'Not Found' })
  const from = keeper.find(bucket, key)
  const generation = query.get('sourceGeneration')
  if (from === undefined || (generation !== null && generation !== from.facts.generation)) refuse(noObject(bucket, key))
  demand(queryConditions(query, 'ifSource'), from.facts)
  checkName(to.key)
  return { from, to }
}

function put(
  keeper: Keeper,
  route: Route,
  from: Entry<ObjectFacts>,
  to: { bucket: string; key: string },
  description: unknown,
  also: Parameters<Keeper['put']>[2] = [],
): Inserted {
  const conditions: Conditions = queryConditions(route.query)
  const { facts, body } = from
  const given = typeof description === 'object' && description !== null && Object.keys(description).length > 0
  const described = given ? describedBy(description) : descriptionOf(facts)
  const { crc32c, md5Hash, componentCount } = facts
  const sums = { crc32c, ...(md5Hash === undefined ? {} : { md5Hash }) }
  const object = { ...to, described, body: body.size === 0 ? emptyBody : body, sums }
  const entry = keeper.put(componentCount === undefined ? object : { ...object, componentCount }, conditions, also)
  return { ...to, entry }
}

/** What a copy takes over: not the holds. */
export function descriptionOf(facts: ObjectFacts): Described {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage } = facts
  const { customTime, storageClass, metadata } = facts
  const described = {
    contentType,
    cacheControl,
    contentDisposition,
    contentEncoding,
    contentLanguage,
    customTime,
    storageClass,
    metadata,
  }
  return Object.fromEntries(Object.entries(described).filter(([, value]) => value !== undefined))
}

function tokenOf(token: string | null, generation: string): number {
  if (token === null) return 0
  try {
    const [written, of] = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as [unknown, unknown]
    if (typeof written === 'number' && of === generation) return written
  } catch {
    // Refused below, like a token of another object.
  }
  return refuse(invalidArgument('Invalid rewriteToken.'))
}
