import type {
  GetObjectCommandInput,
  GetObjectCommandOutput,
  HeadObjectCommandInput,
  HeadObjectCommandOutput,
} from '@aws-sdk/client-s3'
import { cutRange } from '../core/range.ts'
import { HoldfastError, type GetOptions, type ObjectInfo, type StoredObject } from '../index.ts'
import { sdkBody } from './body.ts'
import { isConditional, unchanged, unmet } from './conditions.ts'
import { checksumFields, described, overrides } from './described.ts'
import { abortError, asS3Error, bareError, metadata, noSuchKey, preconditionFailed, s3Error } from './errors.ts'
import type { Call } from './handler.ts'
import { keyOf, signalled } from './inputs.ts'
import { partOf, rangeOf, unsatisfiable } from './ranges.ts'

/** How often a read begins anew because the object was replaced between its two looks. */
const mostTries = 3

export async function getObject(call: Call<GetObjectCommandInput>): Promise<GetObjectCommandOutput> {
  const { input, config, signal } = call
  const key = keyOf(input)
  demandOnePiece(input)
  const { object, piece } = await opened(call, key)
  const { info } = object
  const mode = input.ChecksumMode ?? ((await config.responseChecksumValidation?.()) === 'WHEN_SUPPORTED' && 'ENABLED')
  const toError = (error: unknown): unknown =>
    signal?.aborted === true && error === signal.reason ? abortError(error) : asS3Error(error)
  return {
    $metadata: metadata(piece === undefined ? 200 : 206),
    ...answered(info, input, piece, mode === 'ENABLED'),
    Body: sdkBody(object.body, toError),
  }
}

export async function headObject(call: Call<HeadObjectCommandInput>): Promise<HeadObjectCommandOutput> {
  const { input } = call
  demandOnePiece(input)
  const info = await look(call, keyOf(input))
  const piece = pieceOf(call, info)
  return {
    $metadata: metadata(piece === undefined ? 200 : 206),
    ...answered(info, input, piece, input.ChecksumMode === 'ENABLED'),
  }
}

type Reading = Call<HeadObjectCommandInput>

/** Half-open, in bytes; `count`: of the parts, where one was asked for. */
interface Piece {
  readonly start: number
  readonly end: number
  readonly count: number | undefined
}

function answered(info: ObjectInfo, input: HeadObjectCommandInput, piece: Piece | undefined, withChecksum: boolean) {
  const { start, end, count } = piece ?? { start: 0, end: info.size, count: undefined }
  return {
    ...described(info),
    // Of a piece there is none: what is kept is of the whole.
    ...(withChecksum && end - start === info.size ? checksumFields(info) : {}),
    ...overrides(input),
    ...(piece === undefined || info.size === 0 ? {} : { ContentRange: `bytes ${start}-${end - 1}/${info.size}` }),
    ...(count === undefined ? {} : { PartsCount: count }),
    ContentLength: end - start,
  }
}

/** The object with the piece of it that was asked for. Where more than a range has to be known first, it is looked at before it is read. */
async function opened(call: Reading, key: string): Promise<{ object: StoredObject; piece: Piece | undefined }> {
  const { input } = call
  for (let tries = 1; ; tries++) {
    const before = isConditional(input) || input.PartNumber !== undefined ? await look(call, key) : undefined
    const known = before === undefined ? undefined : pieceOf(call, before)
    const asked = before === undefined ? rangeOf(input.Range) : whole(known, before)
    const object = await open(call, key, asked)
    if (before === undefined) {
      const piece = object.range === undefined ? undefined : { ...object.range, count: undefined }
      return { object, piece }
    }
    if (object.info.version === before.version) return { object, piece: known }
    void object.body.cancel().catch(() => {})
    if (tries === mostTries)
      throw s3Error('InternalError', 500, `${key} was replaced again and again while it was read`)
  }
}

/** A piece that is everything is read as such: only then its digest is compared. */
function whole(piece: Piece | undefined, { size }: ObjectInfo): GetOptions['range'] {
  return piece === undefined || piece.end - piece.start === size ? undefined : { start: piece.start, end: piece.end }
}

async function open(call: Reading, key: string, range: GetOptions['range'] | 'nothing'): Promise<StoredObject> {
  const { store, command, input } = call
  if (range === 'nothing') throw unsatisfiable(command, input.Range, (await look(call, key)).size)
  try {
    const object = await store.get(key, { ...(range === undefined ? {} : { range }), ...signalled(call) })
    if (object === undefined) throw noSuchKey(key)
    return object
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.field !== 'range') throw error
    throw unsatisfiable(command, input.Range, (await look(call, key)).size, error)
  }
}

/** What is there now, if the conditions hold for it. */
async function look(call: Reading, key: string): Promise<ObjectInfo> {
  const { store, input, command } = call
  const isHead = command === 'HeadObject'
  const info = await store.head(key, signalled(call))
  if (info === undefined) throw isHead ? bareError(404) : noSuchKey(key)
  const failed = unmet(input, info)
  if (failed !== undefined) throw isHead ? bareError(412) : preconditionFailed(failed)
  if (unchanged(input, info, 'etag first') !== undefined) throw bareError(304)
  return info
}

function pieceOf({ command, input }: Reading, info: ObjectInfo): Piece | undefined {
  if (input.PartNumber !== undefined) {
    if (command !== 'HeadObject') return partOf(info, input.PartNumber)
    try {
      return partOf(info, input.PartNumber)
    } catch (error) {
      const { httpStatusCode = 400 } = (error as ReturnType<typeof s3Error>).$metadata
      throw httpStatusCode === 501 ? error : bareError(httpStatusCode, error)
    }
  }
  const asked = rangeOf(input.Range)
  if (asked === undefined) return undefined
  const cut = asked === 'nothing' ? undefined : cutRange(asked, info.size)
  if (cut === undefined) throw unsatisfiable(command, input.Range, info.size)
  return { ...cut, count: undefined }
}

function demandOnePiece({ Range, PartNumber }: HeadObjectCommandInput): void {
  if (Range === undefined || PartNumber === undefined) return
  throw s3Error('InvalidRequest', 400, 'Cannot specify both Range header and partNumber query parameter')
}
