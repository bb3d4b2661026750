import type { Storage, StorageOptions } from '@google-cloud/storage'
import { invalid, shown } from '../../core/errors.ts'
import { checkOptions, type OptionType } from '../options.ts'
import { chunkUnit } from './resumable.ts'

/** Where the bucket is and how to get in. Give a client of your own, or what builds one. */
export interface GcsOptions {
  /** Its name. Must be there already. */
  readonly bucket: string
  /** Only the keys that begin with it, which is left out of them: `photos/`. Default: the whole bucket. */
  readonly prefix?: string
  /** Default `gcs:<bucket>`, and `/<prefix>`. Unique among the providers of a store. */
  readonly name?: string
  /** Your own client, with its credentials, endpoint, user agent and interceptors. Its retry settings are neither used nor touched. */
  readonly client?: Storage
  /** Scheme, host and port. Default `https://storage.googleapis.com`. Credentials go to it over https, or where `authClient` is given. */
  readonly apiEndpoint?: string
  /** A service account's `client_email` and `private_key`. Default: what the machine offers (Application Default Credentials). */
  readonly credentials?: NonNullable<StorageOptions['credentials']>
  /** Absolute path of a service account's JSON key file. */
  readonly keyFilename?: string
  /** A client of google-auth-library that makes the tokens. */
  readonly authClient?: NonNullable<StorageOptions['authClient']>
  /** Default: what the credentials say. */
  readonly projectId?: string
  /** The project that pays, where the bucket lets the requester pay. */
  readonly userProject?: string
  /** Bytes of one request of a large upload, a multiple of 262,144. Grows where an object would take over 9,000. Default 8 MiB. */
  readonly partSize?: number
  /** Bodies of more bytes than this go up in parts and can be resumed; smaller ones in one request. Default 64 MiB. */
  readonly multipartThreshold?: number
  /** Allows an `http:` endpoint on another machine: keys, bytes and tokens can be read on the way. Default false. */
  readonly allowInsecure?: boolean
}

const types = {
  bucket: 'string',
  prefix: 'string',
  name: 'string',
  client: 'object',
  apiEndpoint: 'string',
  credentials: 'object',
  keyFilename: 'string',
  authClient: 'object',
  projectId: 'string',
  userProject: 'string',
  partSize: 'number',
  multipartThreshold: 'number',
  allowInsecure: 'boolean',
} as const satisfies Record<keyof GcsOptions, OptionType>

const buildsClient = ['apiEndpoint', 'credentials', 'keyFilename', 'authClient', 'projectId'] as const

/** INVALID, naming the option and its rule; TypeError where a value has the wrong JavaScript type. Reads no file, sends nothing. */
export function checkGcsOptions(options: GcsOptions): void {
  checkOptions('gcs', options, types, 'bucket')
  checkBucket(options.bucket)
  checkBytes('partSize', options.partSize, chunkUnit)
  checkBytes('multipartThreshold', options.multipartThreshold, 1)
  checkCredentials(options)
}

/** https://cloud.google.com/storage/docs/buckets#naming, without the rules that change nothing here. */
function checkBucket(bucket: string): void {
  if (/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(bucket)) return
  const rule = 'is 3 to 222 lower-case letters, digits, "-", "_" and "."'
  throw invalid('bucket', 'name', `the name of a bucket ${rule}, got ${shown(bucket)}`)
}

function checkBytes(name: string, value: number | undefined, unit: number): void {
  if (value === undefined) return
  const least = name === 'partSize' ? unit : 0
  if (Number.isSafeInteger(value) && value >= least && value <= 5 * 2 ** 30 && value % unit === 0) return
  const multiple = unit === 1 ? '' : `, a multiple of ${unit}`
  throw invalid(name, 'range', `${name} is ${least} to ${5 * 2 ** 30} bytes${multiple}; got ${shown(value)}`)
}

function checkCredentials(options: GcsOptions): void {
  const { client, credentials, keyFilename, authClient } = options
  const other = buildsClient.find(name => options[name] !== undefined)
  if (client !== undefined && other !== undefined) {
    throw invalid(other, 'client', `gcs() takes client or ${other}, not both: the client has its own`)
  }
  if (client !== undefined && typeof client.makeAuthenticatedRequest !== 'function') {
    throw invalid('client', 'type', 'client is not a Storage of @google-cloud/storage 7.14 or newer')
  }
  if ([credentials, keyFilename, authClient].filter(each => each !== undefined).length > 1) {
    throw invalid('credentials', 'several', 'gcs() takes one of credentials, keyFilename and authClient')
  }
  if (credentials === undefined) return
  const { client_email: email, private_key: key } = credentials as { client_email?: unknown; private_key?: unknown }
  if ((email === undefined) !== (key === undefined)) {
    throw invalid('credentials', 'half', 'credentials want both client_email and private_key')
  }
}
