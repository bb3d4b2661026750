import { HoldfastError, type PutOptions } from '../index.ts'
import { matches } from './conditions.ts'
import { noSuchKey, preconditionFailed, s3Error } from './errors.ts'
import type { Call } from './handler.ts'
import { signalled } from './inputs.ts'

/** What has to be at the key of a write. */
export interface WriteConditions {
  readonly IfMatch?: string | undefined
  readonly IfNoneMatch?: string | undefined
}

/** The same for the store, which knows versions and no ETags. */
export async function conditionOf(
  call: Pick<Call, 'store' | 'signal'>,
  key: string,
  { IfMatch, IfNoneMatch }: WriteConditions,
): Promise<PutOptions['if']> {
  const hasNoneMatch = IfNoneMatch !== undefined
  if (IfMatch !== undefined && hasNoneMatch) throw unsupported('If-Match,If-None-Match')
  if (hasNoneMatch) {
    if (IfNoneMatch !== '*') throw unsupported('If-None-Match')
    return 'absent'
  }
  if (IfMatch === '*') throw unsupported('If-Match')
  return await versionOf(call, key, { IfMatch })
}

/** The object is looked at, and the write is only over the version that was seen. `*` is any; NoSuchKey and PreconditionFailed as S3 says them. */
export async function versionOf(
  call: Pick<Call, 'store' | 'signal'>,
  key: string,
  { IfMatch }: Pick<WriteConditions, 'IfMatch'>,
): Promise<{ readonly version: string } | undefined> {
  if (IfMatch === undefined) return undefined
  const info = await call.store.head(key, signalled(call))
  if (info === undefined) throw noSuchKey(key)
  if (!matches(IfMatch, info.etag)) throw preconditionFailed('If-Match')
  return { version: info.version }
}

/** What S3 says where the store found the condition broken at the last moment; any other error as it is. */
export function refusalAs(error: unknown, { IfNoneMatch }: WriteConditions): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'PRECONDITION') return error
  return preconditionFailed(IfNoneMatch === undefined ? 'If-Match' : 'If-None-Match', error)
}

function unsupported(header: string): Error {
  const message = 'A header you provided implies functionality that is not implemented'
  return s3Error('NotImplemented', 501, message, { Header: header })
}
