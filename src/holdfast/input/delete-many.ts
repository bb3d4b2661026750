import { invalid } from '../../core/errors.ts'
import { checkText } from './calls.ts'
import { type AckLevel, type CallOptions, checkAck } from './put.ts'
import { checkSignal, flag, take } from './take.ts'

/** Of `deleteMany`. */
export interface DeleteManyOptions extends CallOptions {
  /** Only keys that begin so. '' (all keys) only with `everything`. */
  readonly prefix: string
  /** That all keys are meant. */
  readonly everything?: true
  /** Counts what would be deleted, and deletes nothing. Default false. */
  readonly dryRun?: boolean
  /** Of each delete. Default: that of the store. */
  readonly ack?: AckLevel
}

export interface CheckedDeleteMany {
  readonly prefix: string
  readonly dryRun: boolean
  readonly ack: AckLevel | undefined
  readonly signal: AbortSignal | undefined
}

/** INVALID, field the option's name: `prefix`, rule `missing`, `empty` (all keys, without `everything`), `type`, `unicode`, `length`; `type` of the others. */
export function checkDeleteMany(options: unknown): CheckedDeleteMany {
  const given = take(options ?? {}, ['prefix', 'everything', 'dryRun', 'ack', 'signal'], 'deleteMany')
  if (given.prefix === undefined) throw invalid('prefix', 'missing', 'prefix is missing: which keys are to be deleted')
  const prefix = checkText('prefix', given.prefix)
  const everything = flag('everything', given.everything, false)
  if (prefix === '' && !everything)
    throw invalid('prefix', 'empty', 'an empty prefix means all keys: say `everything: true` if that is meant')
  return {
    prefix,
    dryRun: flag('dryRun', given.dryRun, false),
    ack: checkAck(given.ack),
    signal: checkSignal(given.signal),
  }
}
