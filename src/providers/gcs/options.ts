import type { Storage, StorageOptions } from '@google-cloud/storage'
import { invalid, shown } from '../../core/errors.ts'
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

const names = [
  'bucket',
  'prefix',
  'name',
  'client',
  'apiEndpoint',
  'credentials',
  'keyFilename',
  'authClient',
  'projectId',
  'userProject',
  'partSize',
  'multipartThreshold',
  'allowInsecure',
] as const satisfies readonly (keyof GcsOptions)[]

const buildsClient = ['apiEndpoint', 'credentials', 'keyFilename', 'authClient', 'projectId'] as const

/** INVALID, naming the option and its rule; TypeError where a value has the wrong JavaScript type. Reads no file, sends nothing. */
export function checkGcsOptions(options: GcsOptions): void {
  if (typeof options !== 'object' || options === null) throw new TypeError('gcs() wants an object of options')
  for (const name of Object.keys(options)) checkName(name)
  for (const name of ['bucket', 'prefix', 'name', 'apiEndpoint', 'keyFilename', 'projectId', 'userProject'] as const) {
    checkType(name, options[name], 'string')
  }
  checkType('allowInsecure', options.allowInsecure, 'boolean')
  for (const name of ['client', 'credentials', 'authClient'] as const) checkType(name, options[name], 'object')
  checkBucket(options.bucket)
  checkBytes('partSize', options.partSize, chunkUnit)
  checkBytes('multipartThreshold', options.multipartThreshold, 1)
  checkCredentials(options)
}

function checkName(name: string): void {
  if ((names as readonly string[]).includes(name)) return
  const near = names.find(known => isNear(known.toLowerCase(), name.toLowerCase()))
  const hint = near === undefined ? `known are ${names.join(', ')}` : `did you mean ${near}?`
  throw invalid('options', 'unknown', `gcs() has no option ${shown(name)}; ${hint}`)
}

function checkType(name: string, value: unknown, type: 'string' | 'boolean' | 'object'): void {
  const missing = name === 'bucket' ? value === undefined : false
  if (!missing && (value === undefined || (typeof value === type && value !== null))) return
  throw new TypeError(
    `gcs() wants option ${name} to be ${type === 'object' ? 'an object' : `a ${type}`}, got ${shown(value)}`,
  )
}

/** https://cloud.google.com/storage/docs/buckets#naming, without the rules that change nothing here. */
function checkBucket(bucket: string): void {
  if (/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(bucket)) return
  const rule = 'is 3 to 222 lower-case letters, digits, "-", "_" and "."'
  throw invalid('bucket', 'name', `the name of a bucket ${rule}, got ${shown(bucket)}`)
}

function checkBytes(name: string, value: number | undefined, unit: number): void {
  if (value === undefined) return
  if (typeof value !== 'number') throw new TypeError(`gcs() wants option ${name} to be a number, got ${shown(value)}`)
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

/** One letter too many, too few or different, two swapped, or one name beginning with the other. */
function isNear(a: string, b: string): boolean {
  if (a.startsWith(b) || b.startsWith(a)) return true
  if (Math.abs(a.length - b.length) > 1) return false
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  const restA = a.slice(start)
  const restB = b.slice(start)
  return (
    restA.slice(1) === restB ||
    restA === restB.slice(1) ||
    restA.slice(1) === restB.slice(1) ||
    (restA.slice(2) === restB.slice(2) && restA[0] === restB[1] && restA[1] === restB[0])
  )
}
