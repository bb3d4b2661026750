import type { Settled } from '../../journal/settle-contract.ts'
import type { Blocked } from '../blocked.ts'
import { keyed, nameOf, plainNameOf, told } from './names.ts'

/** Blocked writes by their keys: a key may be that of writes under its name, and of older ones under the key itself. */
export function encodedBlocked(inner: Blocked): Blocked {
  return {
    async *list(options) {
      for (const each of selections(options)) for await (const write of inner.list(each)) yield keyed(write)
    },
    async retry(which) {
      let all = 0
      for (const each of selections(which)) all += await told(inner.retry(each))
      return all
    },
    async abandon(which, options) {
      const sum: { -readonly [Name in keyof Settled]: number } = { abandoned: 0, kept: 0 }
      for (const each of selections(which)) {
        const { abandoned, kept } = await told(inner.abandon(each, options))
        sum.abandoned += abandoned
        sum.kept += kept
      }
      return sum
    },
    abandoned: async () => (await told(inner.abandoned())).map(keyed),
  }
}

/** The same selection for every name that its key may have. What is no selection goes on, to be refused. */
function selections<S>(which: S): readonly S[] {
  const { key } = (typeof which === 'object' && which !== null ? which : {}) as { readonly key?: unknown }
  if (typeof key !== 'string') return [which]
  const plain = plainNameOf(key)
  return [nameOf(key), ...(plain === undefined ? [] : [plain])].map(name => ({ ...which, key: name }))
}
