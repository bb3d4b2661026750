import type {
  CompleteMultipartUploadCommandInput,
  CompleteMultipartUploadCommandOutput,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import type { Holdfast, PartRun } from '../../index.ts'
import { checksumFields } from '../described.ts'
import { asS3Error, metadata, s3Error } from '../errors.ts'
import type { Call } from '../handler.ts'
import { signalled } from '../inputs.ts'
import { sdk } from '../sdk.ts'
import { featuresThere } from './features-there.ts'
import { etagOfListed, type ListedPart, listedParts } from './listed.ts'
import { locationOf } from './location.ts'
import { isNoSuchUpload, runsOfListed, runsOfObject, sizesOfOpen } from './sizes.ts'

type Completing = Call<CompleteMultipartUploadCommandInput>

/** An upload that is complete at the client's own bucket. */
interface Complete {
  readonly output: CompleteMultipartUploadCommandOutput
  /** How many parts it has. */
  readonly count: number
  /** `undefined`: the object has to be asked. */
  readonly parts: readonly PartRun[] | undefined
}

/** Uploads that were completed and could not be taken in, of this process: a second attempt is to begin there. */
const notTakenIn = new WeakMap<Holdfast, Map<string, Complete>>()
const mostRemembered = 1_000

/**
 * Completes the upload at the client's own bucket, and takes the object in: with a version and its parts, so that it is mirrored and keeps its ETag.
 * Rejects with what the bucket says; then nothing changed here.
 *
 * Where the object could not be taken in, the error says so: it is at the one provider, under the answered ETag, and not mirrored. The same Complete again
 * takes it in, whether the bucket remembers the upload or not; so does `store.adopt(key)`, without the parts.
 */
export async function completeAtProvider(call: Completing): Promise<CompleteMultipartUploadCommandOutput> {
  const { store, input } = call
  const waiting = waitingOf(store)
  const name = `${input.UploadId}\n${input.Key}`
  const complete = waiting.get(name) ?? (await completeThere(call, listedParts(input.MultipartUpload?.Parts)))
  waiting.set(name, complete)
  await takeIn(call, complete).catch((error: unknown) => {
    // Another object is there by now, or it cannot be taken in so: to be looked at anew.
    if (!mayTryAgain(error)) waiting.delete(name)
    throw error
  })
  waiting.delete(name)
  return complete.output
}

function mayTryAgain(error: unknown): boolean {
  const { $metadata: { httpStatusCode: status = 500 } = {} } = error as Partial<S3ServiceException>
  return status >= 500
}

function waitingOf(store: Holdfast): Map<string, Complete> {
  const known = notTakenIn.get(store) ?? new Map<string, Complete>()
  notTakenIn.set(store, known)
  const [oldest] = known.keys()
  if (known.size >= mostRemembered && oldest !== undefined) known.delete(oldest)
  return known
}

async function completeThere(call: Completing, listed: readonly ListedPart[]): Promise<Complete> {
  // Afterwards nobody lists the parts any more.
  const sizes = await sizesOfOpen(call)
  let output: CompleteMultipartUploadCommandOutput
  try {
    output = (await call.next()) as CompleteMultipartUploadCommandOutput
  } catch (error) {
    const done = isNoSuchUpload(error) ? await doneBefore(call, listed) : undefined
    if (done === undefined) throw error
    output = done
  }
  return { output, count: listed.length, parts: sizes && runsOfListed(listed, sizes) }
}

/** What Complete and HeadObject both say of an object. */
const repeated = /^(ServerSideEncryption|SSEKMSKeyId|BucketKeyEnabled|VersionId|Expiration)$/

/** The answer of a Complete that was lost, or that came before a restart: the object that such parts make is there. */
async function doneBefore(
  { plain, store, input, config, bucket, signal }: Completing,
  listed: readonly ListedPart[],
): Promise<CompleteMultipartUploadCommandOutput | undefined> {
  const { Bucket, Key = '' } = input
  const { HeadObjectCommand } = sdk()
  const head = await plain(new HeadObjectCommand({ Bucket, Key })).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'NotFound') return undefined
    throw error
  })
  if (head?.ETag !== `"${etagOfListed(listed)}"`) return undefined
  const location = await locationOf(config, bucket, Key)
  // Once it is taken in, the store alone knows which one the app asked for.
  const info = await store.head(Key, signalled({ signal }))
  return {
    $metadata: metadata(200),
    ...(location === undefined ? {} : { Location: location }),
    Bucket: bucket,
    Key,
    ETag: head.ETag,
    ...(info?.etag === etagOfListed(listed) ? checksumFields(info) : {}),
    ...Object.fromEntries(Object.entries(head).filter(([name, value]) => repeated.test(name) && value !== undefined)),
  }
}

async function takeIn(call: Completing, { output, count, parts: known }: Complete): Promise<void> {
  const { store, input } = call
  const { Key = '' } = input
  const { providers } = await store.status()
  const primary = providers.find(({ role }) => role === 'primary')?.name
  try {
    const parts = known ?? (await runsOfObject(call, count, output.ETag ?? ''))
    const features = await featuresThere(call)
    await store.adopt(Key, {
      ...(features === undefined ? {} : { features }),
      ...(primary === undefined ? {} : { from: primary }),
      ...(parts === undefined ? {} : { parts }),
      ...signalled(call),
    })
  } catch (error) {
    throw notIn(error, Key, output, primary)
  }
}

function notIn(
  error: unknown,
  Key: string,
  { ETag }: CompleteMultipartUploadCommandOutput,
  primary = 'the primary',
): unknown {
  const seen = asS3Error(error, Key) as Partial<S3ServiceException>
  const { httpStatusCode: status } = seen.$metadata ?? {}
  // The app's own signal, or a fault that is none of S3's.
  if (status === undefined || seen.name === undefined) return error
  const message = `the upload is complete at ${primary} (ETag ${ETag}), but could not be taken in and is not mirrored: ${seen.message}. Send the same CompleteMultipartUpload again, or call store.adopt(key)`
  return s3Error(seen.name, status, message, { Key, ETag, cause: error })
}
