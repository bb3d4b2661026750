import type { PutCondition } from '../../core/provider.ts'
import type { ErrorMaker } from '../errors.ts'
import type { Dialect } from './dialect.ts'

/** The headers of a condition. UNSUPPORTED, and nothing is to be sent, where the service would not hold it. */
export function putCondition(
  condition: PutCondition | undefined,
  key: string,
  dialect: Dialect,
  errors: ErrorMaker,
): Readonly<Record<string, string>> {
  if (condition === undefined) return {}
  if ('absent' in condition) {
    if (!dialect.createIfAbsent) throw errors.unsupported('put only where nothing is', key)
    return { 'if-none-match': '*' }
  }
  if (!dialect.replaceIf) throw errors.unsupported('put only over a certain object', key)
  return { 'if-match': quoted(condition.token, dialect) }
}

/** The token as the service wants it in a condition on a write. */
export function quoted(token: string, dialect: Dialect): string {
  return dialect.quirks['if-match'] === 'bare' ? token : `"${token}"`
}
