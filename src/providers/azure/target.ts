import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob'
import { unlessAborted } from '../../core/abort.ts'
import { shown } from '../../core/errors.ts'
import type { ErrorMaker } from '../errors.ts'
import { callError, notProvider, type Purpose } from './errors.ts'

/** One container, as the parts of the driver see it. */
export interface Target {
  readonly container: ContainerClient
  readonly errors: ErrorMaker
  /** INVALID where the key would become another path on its way: one that `refuseKey` had refused. */
  blob(key: string): BlockBlobClient
}

export function targetOf(container: ContainerClient, errors: ErrorMaker): Target {
  const root = pathOf(container.url)
  return {
    container,
    errors,
    blob(key) {
      const blob = tried(() => container.getBlockBlobClient(key))
      if (blob !== undefined && pathOf(blob.url) === `${root}/${key}`) return blob
      throw errors.because('INVALID', 'REFUSED', `the key ${shown(key)} cannot be sent: it is another path in a URL`, {
        key,
        field: 'key',
        rule: 'segment',
        outcome: 'rejected',
      })
    },
  }
}

/** The client looks for container and blob in the URL that it made, and throws where it finds none. */
function tried<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

function pathOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname)
}

/**
 * One call of the official client. Rejects at once with the signal's reason when it aborts, with an error of ours otherwise; either
 * way nothing is sent or received any more. The signal that `run` is given is for this call alone.
 */
export async function call<T>(
  { errors }: Target,
  purpose: Purpose,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const connection = new AbortController()
  try {
    return await unlessAborted(run(connection.signal), signal)
  } catch (error) {
    // Also where a refusal came before the whole request was sent: the rest of it is for nobody.
    connection.abort()
    signal.throwIfAborted()
    throw callError(errors, purpose, error)
  }
}

/** The headers with which the service proves a good answer: a proxy or a captive portal has none of them. */
export interface Proof {
  readonly requestId?: string | undefined
  readonly version?: string | undefined
}

/** The answer, if the service gave it; else NOT_PROVIDER. */
export function proven<Answer extends Proof>({ errors }: Target, purpose: Purpose, answer: Answer): Answer {
  if (answer.requestId !== undefined && answer.version !== undefined) return answer
  throw notProvider(errors, purpose, 'got an answer without the headers of the service: a proxy or a portal spoke')
}

/** Of a proven answer about a blob that is there: the ETag that names this write of it, without quotes, and its time. */
export function provenBlob(
  target: Target,
  purpose: Purpose,
  answer: Proof & { readonly etag?: string; readonly lastModified?: Date },
): { readonly token: string; readonly modifiedAt: Date } {
  proven(target, purpose, answer)
  const token = tokenOf(answer.etag)
  const { lastModified } = answer
  if (token !== '' && lastModified !== undefined) return { token, modifiedAt: lastModified }
  throw notProvider(target.errors, purpose, 'got an answer without ETag and Last-Modified: not of the service')
}

/** Listings give ETags without the quotes that headers have. */
export function tokenOf(etag: string | undefined): string {
  return etag?.replace(/^"(.*)"$/, '$1') ?? ''
}

export function etagOf(token: string): string {
  return token.startsWith('W/') ? token : `"${token}"`
}

/** ms since 1970. */
export function timeIn(date: Date | undefined): number | undefined {
  const time = date?.getTime()
  return time === undefined || Number.isNaN(time) ? undefined : time
}
