import type { RemoteObject } from '../../core/provider.ts'
import { isAbsent, type Purpose } from './errors.ts'
import { hexOf, objectOf } from './object.ts'
import { call, etagOf, proven, type Target, tokenOf } from './target.ts'

const md5OfNothing = 'd41d8cd98f00b204e9800998ecf8427e'

/** `undefined` only where the service says BlobNotFound: a 404 of a missing container, or of nobody, is an error. */
export async function headBlob(target: Target, key: string, signal: AbortSignal): Promise<RemoteObject | undefined> {
  const purpose: Purpose = { call: 'head', key, effect: 'none' }
  const blob = target.blob(key)
  const answer = await call(target, purpose, signal, abortSignal =>
    orAbsent(blob.getProperties({ abortSignal, conditions: {} })),
  )
  if (answer === undefined) return undefined
  const object = objectOf(target, purpose, answer, answer.contentLength)
  // Of an archived blob the service gives nothing but properties, metadata and tags: not the list of its blocks.
  const md5 = answer.blobType === 'BlockBlob' && answer.accessTier !== 'Archive' ? answer.contentMD5 : undefined
  if (md5 === undefined) return object
  const hex = hexOf(md5)
  // A list of no blocks looks like no list; but whoever said that MD5 of nothing was right.
  const isTrue = object.size === 0 ? hex === md5OfNothing : await isComputed(target, key, object, signal)
  return isTrue ? { ...object, attested: { md5: hex } } : object
}

/**
 * Whether the Content-MD5 of this very object was computed by the service. It was, if the blob came with Put Blob; with Put Block List
 * the service keeps what it is told. Which of the two it was can be seen from the blob's list of committed blocks: a blob that came
 * whole has none. (Set Blob Properties can change the MD5 of either later; nothing tells of that.)
 */
async function isComputed(target: Target, key: string, object: RemoteObject, signal: AbortSignal): Promise<boolean> {
  const purpose: Purpose = { call: 'get block list', key, effect: 'none' }
  const blob = target.blob(key)
  const answer = await call(target, purpose, signal, abortSignal =>
    orAbsent(blob.getBlockList('committed', { abortSignal })),
  )
  if (answer === undefined) return false
  const { etag, committedBlocks } = proven(target, purpose, answer)
  return tokenOf(etag) === object.token && (committedBlocks ?? []).length === 0
}

/** Size and token, in one request. With `token`: PRECONDITION where another object is there. */
export async function measured(
  target: Target,
  key: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly size: number; readonly token: string } | undefined> {
  const purpose: Purpose = { call: 'get', key, effect: 'none' }
  const blob = target.blob(key)
  const conditions = token === undefined ? {} : { ifMatch: etagOf(token) }
  const answer = await call(target, purpose, signal, abortSignal =>
    orAbsent(blob.getProperties({ abortSignal, conditions })),
  )
  if (answer === undefined) return undefined
  return objectOf(target, purpose, answer, answer.contentLength)
}

async function orAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}
