import type { KeyRefusal } from '../core/provider.ts'

/** What no service takes: the empty key, unpaired surrogates, more than `limit` bytes of UTF-8. */
export function refuseAnywhere(key: string, limit: number): KeyRefusal | undefined {
  if (key === '') return { rule: 'length', message: 'is empty' }
  const broken = key.search(/\p{Surrogate}/u)
  if (broken >= 0) return { rule: 'unicode', index: broken, message: `has an unpaired surrogate at index ${broken}` }
  const bytes = Buffer.byteLength(key)
  return bytes > limit ? { rule: 'length', message: `is ${bytes} bytes, limit ${limit}` } : undefined
}
