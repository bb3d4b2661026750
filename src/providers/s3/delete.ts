import type { DeleteResult } from '../../core/provider.ts'
import { httpDate } from '../transport.ts'
import { askDirect } from './ask-direct.ts'
import { ask, type Target } from './call.ts'
import { quoted } from './condition.ts'

/** With a token: only that object. What is not there any more is no error, whatever the token. */
export async function deleteObject(
  target: Target,
  key: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<DeleteResult> {
  const { sdk, bucket, errors } = target
  const dialect = target.dialect()
  if (token !== undefined && !dialect.deleteIf) throw errors.unsupported('delete only a certain object', key)
  const command = () => new sdk.DeleteObjectCommand({ Bucket: bucket, Key: key })
  const headers: Record<string, string> = token === undefined ? {} : { 'if-match': quoted(token, dialect) }
  const speaks = ({ status }: { status: number }): boolean => status === 204
  const asking = { call: 'delete', key, writes: true, headers, speaks } as const
  const answer =
    (await askDirect(target, { method: 'DELETE', key, headers }, asking, signal)) ??
    (await ask(target, command(), asking, signal))
  if (answer.refused === undefined) return { serverTime: httpDate(answer.headers['date']) }
  const { status, code, error } = answer.refused
  if (status === 404 && code === 'NoSuchKey') return { serverTime: undefined }
  throw error
}
