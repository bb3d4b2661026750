import { HoldfastError } from '../core/errors.ts'
import type { NewWrite } from './contract.ts'
import type { WriteRecord } from './rows.ts'

/** What this directory knows to be false needs no provider to refuse it. */
export function checkLocally(write: Pick<NewWrite, 'key' | 'condition'>, newest: WriteRecord | undefined): void {
  if (newest === undefined) return
  const holds =
    write.condition === 'absent'
      ? newest.kind === 'delete'
      : newest.kind === 'put' && newest.version === write.condition?.version
  if (holds) return
  const found = newest.kind === 'delete' ? 'it is deleted' : `it has version ${newest.version}`
  const wanted = write.condition === 'absent' ? 'be absent' : `have version ${write.condition?.version}`
  throw new HoldfastError('PRECONDITION', `the key was to ${wanted}, but ${found}`, {
    key: write.key,
    field: 'if',
    rule: 'condition',
    reason: 'CONDITION',
    outcome: 'rejected',
    retryable: false,
  })
}
