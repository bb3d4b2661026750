import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { Answer } from '../answer.ts'
import type { LocalRequest } from '../request.ts'
import { demand, headerConditions } from './conditions.ts'
import { announcedSums, compareSums, intake } from './insert.ts'
import type { Keeper } from './keeper.ts'
import { mediaAnswer, mediaHeaders } from './media.ts'
import { noObject, refuse, serviceHeaders } from './refusal.ts'
import { checkName, type Described, describedBy, type ObjectFacts } from './resource.ts'
import type { Route } from './route.ts'

/** The side that signed URLs speak to: https://cloud.google.com/storage/docs/xml-api/reference-methods. Objects only. */
export async function xmlAnswer(keeper: Keeper, request: LocalRequest, route: Route): Promise<Answer> {
  const { bucket = '', key = '', operation } = route
  if (operation === 'xml.put') return await putObject(keeper, request, bucket, key)
  const entry = keeper.find(bucket, key)
  if (entry === undefined) refuse(noObject(bucket, key))
  const conditions = headerConditions(request.headers)
  if (operation === 'xml.delete') {
    keeper.remove(bucket, key, conditions)
    return { status: 204, headers: serviceHeaders() }
  }
  demand(conditions, entry.facts, true)
  const generation = route.query.get('generation')
  if (generation !== null && generation !== entry.facts.generation) refuse(noObject(bucket, key))
  const more = { ...xmlHeaders(entry.facts), ...overrides(route.query) }
  if (operation === 'xml.get') return await mediaAnswer(keeper, entry, request.headers, more)
  const { size } = entry.body
  const headers = { ...serviceHeaders(), ...mediaHeaders(entry.facts, size), ...more, 'content-length': size }
  return { status: 200, headers }
}

async function putObject(keeper: Keeper, request: LocalRequest, bucket: string, key: string): Promise<Answer> {
  const { headers } = request
  keeper.objects(bucket)
  checkName(key)
  const into = intake(keeper)
  try {
    for await (const chunk of request.body) await into.write(chunk)
  } catch (error) {
    await into.abort()
    throw error
  }
  const { body, sums } = await into.finish()
  try {
    const md5 = headers['content-md5']
    compareSums(
      { ...announcedSums(undefined, headers['x-goog-hash']), ...(typeof md5 === 'string' ? { md5Hash: md5 } : {}) },
      sums,
    )
    const described = describedByHeaders(headers)
    const { facts } = keeper.put({ bucket, key, described, body, sums }, headerConditions(headers))
    return { status: 200, headers: { ...serviceHeaders(), ...mediaFacts(facts, body.size), ...xmlHeaders(facts) } }
  } catch (error) {
    keeper.store.forget(body)
    throw error
  }
}

function mediaFacts(facts: ObjectFacts, size: number): OutgoingHttpHeaders {
  const all = Object.entries(mediaHeaders(facts, size))
  return Object.fromEntries(all.filter(([name]) => name.startsWith('x-goog-')))
}

function describedByHeaders(headers: IncomingHttpHeaders): Described {
  const metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('x-goog-meta-')) metadata[name.slice('x-goog-meta-'.length)] = String(value)
  }
  const said = {
    contentType: headers['content-type'] ?? 'application/octet-stream',
    cacheControl: headers['cache-control'],
    contentDisposition: headers['content-disposition'],
    contentEncoding: headers['content-encoding'],
    contentLanguage: headers['content-language'],
    metadata,
  }
  return describedBy(Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)))
}

/** Metadata that headers cannot say is left out, as there. */
function xmlHeaders({ md5Hash, metadata = {}, generation }: ObjectFacts): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {
    etag: md5Hash === undefined ? `"${generation}"` : `"${Buffer.from(md5Hash, 'base64').toString('hex')}"`,
  }
  for (const [name, value] of Object.entries(metadata)) {
    if (/^[\w.!#$%&'*+^`|~-]+$/.test(name) && /^[\x20-\x7e]*$/.test(value)) headers[`x-goog-meta-${name}`] = value
  }
  return headers
}

function overrides(query: URLSearchParams): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {}
  for (const name of ['type', 'disposition', 'encoding', 'language']) {
    const value = query.get(`response-content-${name}`)
    if (value !== null) headers[`content-${name}`] = value
  }
  return headers
}
