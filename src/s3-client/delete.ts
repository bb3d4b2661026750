import type {
  DeletedObject,
  DeleteObjectCommandInput,
  DeleteObjectCommandOutput,
  DeleteObjectsCommandInput,
  DeleteObjectsCommandOutput,
  _Error as KeyError,
  ObjectIdentifier,
} from '@aws-sdk/client-s3'
import { asS3Error, metadata, s3Error } from './errors.ts'
import type { Call } from './handler.ts'
import { keyOf, signalled } from './inputs.ts'
import { refusalAs, versionOf, type WriteConditions } from './writing.ts'

const mostKeys = 1000
/** Commits are shared by the deletes of the moment; more at once would only be more memory. */
const atOnce = 64

export async function deleteObject(call: Call<DeleteObjectCommandInput>): Promise<DeleteObjectCommandOutput> {
  await remove(call, keyOf(call.input), call.input)
  return { $metadata: metadata(204) }
}

/** Every key has an answer of its own; the call itself fails only where S3 would not look at any. */
export async function deleteObjects(call: Call<DeleteObjectsCommandInput>): Promise<DeleteObjectsCommandOutput> {
  const { Objects: given, Quiet: quiet } = call.input.Delete ?? {}
  const objects = given ?? []
  if (objects.length === 0 || objects.length > mostKeys || objects.some(each => typeof each?.Key !== 'string')) {
    const message = 'The XML you provided was not well-formed or did not validate against our published schema'
    throw s3Error('MalformedXML', 400, message)
  }
  const errors = new Map<number, KeyError>()
  let at = 0
  const next = async (): Promise<void> => {
    while (at < objects.length) {
      const index = at++
      const failed = await failureOf(call, objects[index] as ObjectIdentifier)
      if (failed !== undefined) errors.set(index, failed)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, objects.length) }, next))
  const deleted = objects.flatMap(({ Key }, index): DeletedObject[] => (errors.has(index) ? [] : [{ Key }]))
  const failed = [...errors].toSorted(([a], [b]) => a - b).map(([, error]) => error)
  return {
    $metadata: metadata(200),
    ...(quiet === true || deleted.length === 0 ? {} : { Deleted: deleted }),
    ...(failed.length === 0 ? {} : { Errors: failed }),
  }
}

async function failureOf(call: Call, { Key, ETag }: ObjectIdentifier): Promise<KeyError | undefined> {
  try {
    // `null` is none, as to the SDK.
    await remove(call, Key as string, { IfMatch: ETag ?? undefined })
    return undefined
  } catch (error) {
    if (call.signal?.aborted === true) throw error
    const { name, message } = asS3Error(error) as Error
    return { Key, Code: name, Message: message }
  }
}

async function remove(call: Call, key: string, conditions: WriteConditions): Promise<void> {
  const condition = await versionOf(call, key, conditions)
  try {
    await call.store.delete(key, { ...signalled(call), ...(condition === undefined ? {} : { if: condition }) })
  } catch (error) {
    throw refusalAs(error, conditions)
  }
}
