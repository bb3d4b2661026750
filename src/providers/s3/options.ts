import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { invalid, shown } from '../../core/errors.ts'
import { suggestion } from '../../core/suggest.ts'
import { checkOptions, type OptionType } from '../options.ts'
import { type S3Preset, presets } from './presets.ts'

/** Where the bucket is and how to get in. Give a client of your own, or what builds one. */
export interface S3Options {
  /** Its name, or the ARN or alias of an access point. */
  readonly bucket: string
  /** Only the keys that begin with it, which is left out of them: `photos/`. Default: the whole bucket. */
  readonly prefix?: string
  /** Default `s3:<bucket>`, and `/<prefix>`. Unique among the providers of a store. */
  readonly name?: string
  /**
   * Your own client: its endpoint, credentials, agents and middleware are used, its retries and checksums are not. It is never changed. As long as it is as the SDK
   * made it (no middleware, handler, signer or logger of your own), `transport` is as for one of ours.
   */
  readonly client?: S3Client
  /** The service, where it is not Amazon's or not only: gives endpoint and region their defaults, and spares some questions. */
  readonly preset?: S3Preset
  /** Default: the preset's; of Amazon what the machine says (AWS_REGION, profile); else `us-east-1`. */
  readonly region?: string
  /** Scheme, host and port. Default: the preset's, else Amazon's. */
  readonly endpoint?: string
  /** What stands for `{account}` in the preset's endpoint: the account id of R2. */
  readonly account?: string
  /** Access key, or a function that fetches one. Default: what the machine offers (environment, profile, role). */
  readonly credentials?: NonNullable<S3ClientConfig['credentials']>
  /** The bucket in the path instead of the host name. Default: the preset's; else true for an `endpoint` of your own. */
  readonly forcePathStyle?: boolean
  /** Bytes of a part of a large upload, 5 MiB to 5 GiB. Grows where an object would take over 9,000. Default 8 MiB. */
  readonly partSize?: number
  /** Bodies of more bytes than this go up in parts and can be resumed; smaller ones in one request. At most 5 GiB. Default 64 MiB. */
  readonly multipartThreshold?: number
  /** Allows an `http:` endpoint on another machine: keys and bytes can be read on the way. Default false. */
  readonly allowInsecure?: boolean
  /** Allows an endpoint at a link-local address, where clouds hand out credentials. Default false. */
  readonly allowLinkLocal?: boolean
  /**
   * `auto`: put, get, head and delete of whole objects go past the SDK's middleware, by its credentials and agents, wherever that is known to be the same on the wire. `sdk`: all
   * requests go through the SDK. Default `auto`.
   */
  readonly transport?: 'auto' | 'sdk'
  /** With `client`: a word for the service behind it, where two clients with endpoints of their own have buckets of one name. */
  readonly service?: string
}

const types = {
  bucket: 'string',
  prefix: 'string',
  name: 'string',
  client: 'object',
  preset: 'string',
  region: 'string',
  endpoint: 'string',
  account: 'string',
  credentials: 'object or function',
  forcePathStyle: 'boolean',
  partSize: 'number',
  multipartThreshold: 'number',
  allowInsecure: 'boolean',
  allowLinkLocal: 'boolean',
  transport: 'string',
  service: 'string',
} as const satisfies Record<keyof S3Options, OptionType>

const buildsClient = [
  'region',
  'endpoint',
  'account',
  'credentials',
  'forcePathStyle',
  'allowInsecure',
  'allowLinkLocal',
] as const

const transports: readonly string[] = ['auto', 'sdk'] satisfies S3Options['transport'][]

const mebibyte = 2 ** 20
/** Of one request, https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html. */
const least = { part: 5 * mebibyte, whole: 0 }
const most = 5 * 2 ** 30

/** INVALID, naming the option and its rule; TypeError where a value has the wrong JavaScript type. Reads no file, sends nothing. */
export function checkS3Options(options: S3Options): void {
  checkOptions('s3', options, types, 'bucket')
  checkBucket(options.bucket)
  checkBytes('partSize', options.partSize, least.part)
  checkBytes('multipartThreshold', options.multipartThreshold, least.whole)
  if (options.preset !== undefined && !Object.hasOwn(presets, options.preset)) {
    throw invalid(
      'preset',
      'unknown',
      `s3() knows no preset ${shown(options.preset)}${suggestion(options.preset, Object.keys(presets))}`,
    )
  }
  if (options.transport !== undefined && !transports.includes(options.transport)) {
    throw invalid('transport', 'unknown', `transport is 'auto' or 'sdk', got ${shown(options.transport)}`)
  }
  for (const name of ['region', 'account', 'service'] as const) {
    const value = options[name]
    if (value !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(value)) {
      throw invalid(
        name,
        value === '' ? 'empty' : 'name',
        `${name} wants letters, digits, "-", "_" and ".", got ${shown(value)}`,
      )
    }
  }
  checkCredentials(options.credentials)
  checkClient(options)
}

/** Old buckets have names that new ones may not. https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
function checkBucket(bucket: string): void {
  const isName = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)
  if (!isName && !/^arn:[a-z0-9-]+:s3[a-z-]*:[a-z0-9-]*:\d*:[A-Za-z0-9:/._-]{1,200}$/.test(bucket)) {
    throw invalid(
      'bucket',
      'name',
      `the name of a bucket is 2 to 255 letters, digits, "-", "_" and ".", got ${shown(bucket)}`,
    )
  }
  // Unordered listings, other conditions, sessions: another service under the same name.
  if (bucket.endsWith('--x-s3'))
    throw invalid('bucket', 'directory', 'directory buckets (S3 Express) are not supported')
}

function checkBytes(name: string, value: number | undefined, from: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= from && value <= most)) return
  throw invalid(name, 'range', `${name} is ${from} to ${most} bytes, got ${shown(value)}`)
}

function checkCredentials(credentials: S3Options['credentials']): void {
  if (credentials === undefined || typeof credentials === 'function') return
  for (const part of ['accessKeyId', 'secretAccessKey'] as const) {
    const value: unknown = credentials[part]
    if (typeof value !== 'string' || value === '') {
      throw invalid('credentials', 'half', `credentials want both accessKeyId and secretAccessKey; ${part} is missing`)
    }
  }
}

function checkClient(options: S3Options): void {
  const { client, service } = options
  if (client === undefined) {
    if (service !== undefined)
      throw invalid('service', 'client', 'service is for a client of your own; elsewhere the endpoint says it')
    return
  }
  const other = buildsClient.find(name => options[name] !== undefined)
  if (other !== undefined)
    throw invalid(other, 'client', `s3() takes client or ${other}, not both: the client has its own`)
  if (typeof client.send !== 'function' || typeof client.middlewareStack?.clone !== 'function') {
    throw invalid('client', 'type', 'client is not an S3Client of @aws-sdk/client-s3')
  }
}
