import type { ListRequest, RemoteEntry } from '../../core/provider.ts'
import { compareKeys } from '../../core/key.ts'
import { notProvider, type Purpose, protocolError } from './errors.ts'
import { pageFields, readPage } from './objects.ts'
import type { Query, Target } from './target.ts'

const purpose: Purpose = { call: 'list', effect: 'none' }

/**
 * `startOffset` begins at the key itself, so that is dropped. Whether a folded prefix that contains the offset is still shown is not
 * said by the service's reference: then it is asked for apart, and given first.
 */
export async function* listObjects(
  target: Target,
  { prefix, delimiter, startAfter }: ListRequest,
  signal: AbortSignal,
): AsyncIterable<RemoteEntry> {
  const around = foldedPrefix(startAfter, prefix, delimiter)
  if (around !== undefined && (await hasKeyAfter(target, around, startAfter, signal))) {
    yield { type: 'prefix', prefix: around }
  }
  const query: Query = {
    ...(prefix === '' ? {} : { prefix }),
    ...(delimiter === '' ? {} : { delimiter }),
    ...(compareKeys(startAfter, prefix) <= 0 ? {} : { startOffset: startAfter }),
  }
  let last = startAfter
  for await (const entry of pages(target, query, signal)) {
    const name = entry.type === 'object' ? entry.key : entry.prefix
    if (name === around || (entry.type === 'object' && compareKeys(name, startAfter) <= 0)) continue
    if (!name.startsWith(prefix))
      throw protocolError(target.errors, purpose, 'was answered a key outside of its prefix')
    if (entry.type === 'prefix' && name === last) continue
    if (compareKeys(name, last) <= 0) throw protocolError(target.errors, purpose, 'was answered keys out of order')
    last = name
    yield entry
  }
}

/** The entry that `startAfter` itself would be folded into. */
function foldedPrefix(startAfter: string, prefix: string, delimiter: string): string | undefined {
  if (delimiter === '' || !startAfter.startsWith(prefix)) return undefined
  const at = startAfter.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : startAfter.slice(0, at + delimiter.length)
}

async function hasKeyAfter(target: Target, prefix: string, startAfter: string, signal: AbortSignal): Promise<boolean> {
  for await (const entry of pages(target, { prefix, startOffset: startAfter, maxResults: '2' }, signal)) {
    if (entry.type === 'object' && compareKeys(entry.key, startAfter) > 0) return true
  }
  return false
}

/** A page is read when its first entry is wanted. Objects and prefixes come apart, each in order: they are merged. */
async function* pages(target: Target, query: Query, signal: AbortSignal): AsyncIterable<RemoteEntry> {
  const { wire, errors } = target
  let token: string | undefined
  do {
    const asked = { ...query, fields: pageFields, ...(token === undefined ? {} : { pageToken: token }) }
    const answer = await wire.send({ purpose, method: 'GET', target: target.list(asked) }, signal)
    if (answer.status !== 200) throw await wire.refused(answer, purpose)
    const page = readPage(await wire.text(answer, purpose))
    if (page === undefined) throw notProvider(errors, purpose, 'was answered 200 without a listing')
    for (const entry of page.entries.sort((a, b) => compareKeys(nameOf(a), nameOf(b)))) {
      signal.throwIfAborted()
      yield entry
    }
    if (page.next !== undefined && page.next === token) {
      throw protocolError(errors, purpose, 'was given the same page token twice')
    }
    token = page.next
  } while (token !== undefined)
  signal.throwIfAborted()
}

function nameOf(entry: RemoteEntry): string {
  return entry.type === 'object' ? entry.key : entry.prefix
}
