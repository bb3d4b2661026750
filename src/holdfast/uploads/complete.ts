import { mismatch } from '../../core/body.ts'
import { HoldfastError, invalid, shown } from '../../core/errors.ts'
import type { Accepted } from '../../journal/contract.ts'
import type { BodyPart, UploadedPart } from '../../journal/upload-contract.ts'
import { objectLimit } from '../input/providers.ts'
import { type PutReceipt, receiptOf } from '../receipt.ts'
import { newWrite, settled, underClose, type WriteDeps } from '../writes.ts'
import { type CheckedComplete, checkComplete, checkId, checkParts, type WantedPart } from './check.ts'
import { demandUpload } from './demand.ts'
import { outlineOf, readWhole, type Whole } from './whole.ts'

/** From parts on local disk to a promised write, whose body they are from then on. */
export async function complete(deps: WriteDeps, id: unknown, parts: unknown, options: unknown): Promise<PutReceipt> {
  const upload = checkId(id)
  const wanted = checkParts(parts)
  const checked = checkComplete(options)
  const { condition, signal } = checked
  for (;;) {
    signal?.throwIfAborted()
    const made = await tryComplete(deps, upload, wanted, checked)
    if (made === undefined) continue
    const { accepted, key, whole } = made
    const promised = { ...accepted, key }
    await settled(deps, promised, { condition, ack: checked.ack, signal })
    const { size, crc32c, md5, layout, checksum } = whole
    const kept = checksum === undefined ? {} : { checksum }
    return { ...receiptOf(deps, promised), size, crc32c, md5, etag: layout.etag, ...kept }
  }
}

interface Made {
  readonly accepted: Accepted
  readonly key: string
  readonly whole: Whole
}

/** `undefined`: a part was uploaded anew while they were read. */
async function tryComplete(
  deps: WriteDeps,
  id: string,
  wanted: readonly WantedPart[],
  { condition, expected, signal }: CheckedComplete,
): Promise<Made | undefined> {
  const { journal, stage } = deps
  const { key, attributes, features, checksum: kind } = demandUpload(journal, id)
  const chosen = choose(journal.uploadedParts(id), wanted, key)
  demandSize(deps, outlineOf(chosen).size, expected.size, key)
  if (expected.checksum !== undefined && kind === undefined)
    throw invalid('expect', 'checksum', 'expect.checksum is for uploads that were created with a checksum', { key })
  let whole: Whole
  try {
    whole = await readWhole(stage, chosen, kind, underClose(deps, signal))
  } catch (error) {
    // Files go when a part is uploaded anew, or the upload ends: then that is the news.
    if (isGone(error) && wereReplaced(chosen, journal.uploadedParts(id))) {
      demandUpload(journal, id)
      return undefined
    }
    throw error
  }
  const { checksum, layout, size, crc32c, md5 } = whole
  if (expected.checksum !== undefined && expected.checksum !== checksum?.value)
    throw mismatch('checksum', expected.checksum, checksum?.value ?? 'none')
  deps.closing.throwIfAborted()
  signal?.throwIfAborted()
  const kept = { ...attributes, ...(checksum === undefined ? {} : { checksum }) }
  const body = { in: 'parts' as const, parts: chosen.map(bodyPart) }
  const content = { key, kind: 'put' as const, size, crc32c, md5, attributes: kept, layout, body }
  const write = newWrite(deps, { ...content, ...(features === undefined ? {} : { features }) }, condition)
  try {
    return { accepted: await journal.completeUpload(id, write), key, whole }
  } catch (error) {
    if (error instanceof HoldfastError && error.field === 'upload' && error.rule === 'changed') return undefined
    throw error
  }
}

/** INVALID parts/absent for one that is not there, or not with that ETag; CORRUPT for one whose row is damaged. */
function choose(there: readonly UploadedPart[], wanted: readonly WantedPart[], key: string): readonly UploadedPart[] {
  const byNumber = new Map(there.map(part => [part.number, part]))
  return wanted.map(({ number, etag }) => {
    const part = byNumber.get(number)
    if (part === undefined) throw invalid('parts', 'absent', `there is no part ${number}`, { key })
    if (part.damaged)
      throw new HoldfastError('CORRUPT', `the journal row of part ${number} is damaged: upload it again`, {
        key,
        field: 'journal',
        rule: 'damaged',
        outcome: 'rejected',
      })
    if (etag === undefined || etag === part.md5) return part
    throw invalid('parts', 'absent', `part ${number} has the etag ${part.md5}, not ${shown(etag)}`, { key })
  })
}

function demandSize(deps: WriteDeps, size: number, expected: number | undefined, key: string): void {
  if (expected !== undefined && expected !== size) throw mismatch('size', expected, size)
  const { bytes, provider } = objectLimit(deps.providers.map(each => each.provider))
  if (size > bytes)
    throw invalid('size', 'limit', `the parts have ${size} bytes, limit ${bytes} (provider ${shown(provider)})`, {
      key,
      provider,
    })
}

function isGone(error: unknown): boolean {
  return error instanceof HoldfastError && error.field === 'body' && error.rule === 'missing'
}

function wereReplaced(chosen: readonly UploadedPart[], now: readonly UploadedPart[]): boolean {
  const files = new Set(now.map(({ file }) => file))
  return chosen.some(({ file }) => !files.has(file))
}

function bodyPart({ file, size, crc32c, md5 }: UploadedPart): BodyPart {
  return { file, size, crc32c, md5 }
}
