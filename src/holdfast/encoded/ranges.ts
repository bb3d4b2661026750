import { namePrefixes } from '../../core/encode.ts'
import { compareKeys } from '../../core/key.ts'
import { type Run, run } from '../../core/run.ts'
import { keyedError, nameOf, plainNameOf } from './names.ts'

/**
 * The same options for each range of names that keys of their prefix lie in; what is no option goes on, to be refused. A range may have names of a few
 * other keys too (`a!2F!41` lies in one of `a/`): for work that does no harm to them.
 */
export function rangesOf<Options extends { readonly prefix?: string; readonly startAfter?: string }>(
  options: Options | undefined,
): readonly (Options | undefined)[] {
  const { prefix, startAfter } = (typeof options === 'object' && options !== null ? options : {}) as Partial<
    Readonly<Record<string, unknown>>
  >
  const isText = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.isWellFormed()
  const after = isText(startAfter) ? firstNameOf(startAfter) : undefined
  if (!isText(prefix)) return after === undefined ? [options] : [{ ...options, startAfter: after } as Options]
  const ranges = namePrefixes(prefix)
  const left = ranges.filter(range => after === undefined || compareKeys(after, range) <= 0 || after.startsWith(range))
  return (left.length === 0 ? ranges.slice(-1) : left).map(range => {
    const begins = after !== undefined && after.startsWith(range)
    const past = after !== undefined && left.length === 0
    return {
      ...options,
      prefix: range,
      ...(isText(startAfter) ? { startAfter: begins || past ? after : '' } : {}),
    } as Options
  })
}

/** Of the names that an object of this key may have, the one that is listed first: what goes on there leaves nothing out. */
function firstNameOf(key: string): string {
  const plain = plainNameOf(key)
  const name = nameOf(key)
  return plain !== undefined && compareKeys(plain, name) < 0 ? plain : name
}

/** Runs that begin when the one before has ended. */
export function inTurn<P, R, S>(
  runs: readonly Run<P, R>[],
  shown: (progress: P) => P,
  result: (results: readonly R[]) => S,
): Run<P, S> {
  return run(async function* () {
    const results: R[] = []
    try {
      for (const each of runs) {
        for await (const progress of each) yield shown(progress)
        results.push(await each)
      }
    } catch (error) {
      throw keyedError(error)
    }
    return result(results)
  })
}
