import type { StorageClass } from '@aws-sdk/client-s3'
import { HoldfastError, type OpenUpload, type Upload } from '../../index.ts'
import type { Call } from '../handler.ts'
import { signalled } from '../inputs.ts'
import { type Begun, isUploadId, memoryOf } from './memory.ts'
import { refused } from './refused.ts'

/** Which upload a call is about. */
export interface UploadName {
  readonly Key?: string | undefined
  readonly UploadId?: string | undefined
}

/** The upload with its parts. NoSuchUpload where it is not open, or is one of another key. */
export async function openUpload(call: Call<UploadName>): Promise<OpenUpload> {
  const upload = await findUpload(call)
  if (upload === undefined) throw noSuchUpload(call.input.UploadId)
  return upload
}

export async function findUpload(call: Call<UploadName>): Promise<OpenUpload | undefined> {
  const { Key, UploadId = '' } = call.input
  const upload = isUploadId(UploadId) ? await call.store.uploads.get(UploadId, signalled(call)) : undefined
  return upload?.key === Key ? upload : undefined
}

/** The same without its parts: at no cost, where this process knows the upload. It may have ended since. */
export async function begunUpload(call: Call<UploadName>): Promise<Begun> {
  const { Key, UploadId = '' } = call.input
  const begun = await memoryOf(call.store).begun(UploadId)
  if (begun === undefined || begun.key !== Key) throw noSuchUpload(UploadId)
  return begun
}

export function noSuchUpload(id: string | undefined): Error {
  return refused('NoSuchUpload', { UploadId: id })
}

/** Whether the store says that there is no such upload: it ended while it was looked at. */
export function isGone(error: unknown): boolean {
  return error instanceof HoldfastError && error.field === 'upload' && error.rule === 'absent'
}

/** Runs a call of the store for an upload that may end at any moment: NoSuchUpload then. */
export async function unlessGone<T>(call: Call<UploadName>, running: Promise<T>): Promise<T> {
  try {
    return await running
  } catch (error) {
    if (isGone(error)) throw noSuchUpload(call.input.UploadId)
    throw error
  }
}

export function checksumFields({ checksum }: Pick<Upload, 'checksum'>): {
  ChecksumAlgorithm?: NonNullable<Upload['checksum']>['algorithm']
  ChecksumType?: NonNullable<Upload['checksum']>['type']
} {
  return checksum === undefined ? {} : { ChecksumAlgorithm: checksum.algorithm, ChecksumType: checksum.type }
}

export function storageClassOf({ features }: Pick<Upload, 'features'>): StorageClass {
  return (features?.s3?.StorageClass ?? 'STANDARD') as StorageClass
}
