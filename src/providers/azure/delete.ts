import type { DeleteResult } from '../../core/provider.ts'
import { isAbsent, type Purpose, timeOf } from './errors.ts'
import { call, etagOf, proven, type Target, timeIn } from './target.ts'

/** Delete Blob. Snapshots are not deleted with it: the service refuses where there are some. */
export async function deleteBlob(
  target: Target,
  key: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<DeleteResult> {
  const purpose: Purpose = { call: 'delete', key, effect: 'writes' }
  const blob = target.blob(key)
  const conditions = token === undefined ? {} : { ifMatch: etagOf(token) }
  return await call(target, purpose, signal, async abortSignal => {
    try {
      const { date } = proven(target, purpose, await blob.delete({ abortSignal, conditions }))
      return { serverTime: timeIn(date) }
    } catch (error) {
      if (isAbsent(error)) return { serverTime: timeOf(error) }
      throw error
    }
  })
}
