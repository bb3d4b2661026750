import type { Provider } from '../core/provider.ts'
import { loadSdk } from '../core/sdk.ts'
import { carriedSecrets } from './carried.ts'
import { errorMaker } from './errors.ts'
import { prefixed } from './prefixed.ts'
import { bucketCheck } from './s3/bucket.ts'
import type { Sdk, Target } from './s3/call.ts'
import { classify } from './s3/classify.ts'
import { placeOf } from './s3/client.ts'
import { renewalOf } from './s3/credentials.ts'
import { deleteObject } from './s3/delete.ts'
import { amazon, cautious, type Dialect } from './s3/dialect.ts'
import { type Direct, directRequests, directWhilePlain, neverDirect } from './s3/direct.ts'
import { learnDialect } from './s3/learn.ts'
import { listObjects } from './s3/list.ts'
import { abandonUpload, putParts } from './s3/multipart.ts'
import { plainWatch } from './s3/plain.ts'
import { planOf } from './s3/plan.ts'
import { refuseS3Key, s3Limits } from './s3/names.ts'
import { checkS3Options, type S3Options } from './s3/options.ts'
import { presets } from './s3/presets.ts'
import { putWhole } from './s3/put.ts'
import { getObject, headObject } from './s3/read.ts'
import { canSign, signUrl } from './s3/sign.ts'
import { keepTags } from './s3/tags.ts'

export type { S3Options } from './s3/options.ts'
export type { S3Preset } from './s3/presets.ts'

const mebibyte = 2 ** 20

/**
 * A bucket of Amazon S3, or of a service that speaks like it. Needs `@aws-sdk/client-s3` 3.700 or newer, and `@aws-sdk/s3-request-presigner`
 * to sign. The token of an object is its ETag, which two writes of the same bytes share. What a service can is found out by `learn`, from
 * questions about objects under `.holdfast/probe/`; of Amazon itself it is known. INVALID where an option breaks a rule.
 */
export function s3(options: S3Options): Provider {
  checkS3Options(options)
  const { bucket, prefix = '', partSize = 8 * mebibyte, multipartThreshold = 64 * mebibyte } = options
  const name = options.name ?? (prefix === '' ? `s3:${bucket}` : `s3:${bucket}/${prefix}`)
  const sdk = loadSdk<Sdk>('@aws-sdk/client-s3', 'holdfast/s3')
  const { client, where, pathStyle, isAmazon } = placeOf(sdk, options)
  const carried = carriedSecrets()
  const errors = errorMaker(name, carried)
  const { quirks: known = {}, equalParts = false } = presets[options.preset ?? 'aws']
  const sizes = { threshold: multipartThreshold, partSize, equalParts }
  let dialect: Dialect = isAmazon ? amazon(canSign()) : cautious(known, canSign())

  const direct = directOf(sdk, client, options)
  const credentials = renewalOf(client)
  const target: Target = { sdk, client, bucket, errors, carried, credentials, direct, dialect: () => dialect }
  const check = bucketCheck(target)
  const head = (key: string, signal: AbortSignal): ReturnType<Provider['head']> =>
    headObject(target, check, key, signal)

  const whole: Provider = {
    name,
    kind: 's3',
    location: `s3://${where}/${bucket}`,
    limits: s3Limits(() => dialect),
    get capabilities() {
      return dialect
    },
    refuseKey: key => refuseS3Key(key, pathStyle),
    // All of them are sent as they are given; what a service that speaks like S3 makes of them is its own answer.
    refuseFeatures: () => undefined,
    async learn(remembered, signal) {
      signal.throwIfAborted()
      if (!isAmazon) dialect = await learnDialect(target, `${prefix}.holdfast/probe/`, known, remembered, signal)
      return dialect
    },
    async put(request, signal) {
      const plan = planOf(request, sizes)
      if (plan.in === 'one') return await putWhole(target, request, signal)
      const result = await putParts(target, head, request, plan, signal)
      if (!isAmazon) await keepTags(target, head, request, result.token, signal)
      return result
    },
    head,
    get: (request, signal) => getObject(target, check, request, signal),
    delete: (key, token, signal) => deleteObject(target, key, token, signal),
    list: (request, signal) => listObjects(target, request, signal),
    sign: (request, signal) => signUrl(target, request, signal),
    abandon: (key, upload, signal) => abandonUpload(target, key, upload, signal),
    classify: error => classify(errors, error, { call: 'call', writes: true }),
  }
  return prefix === '' ? whole : prefixed(whole, prefix, { name })
}

/** Of access points, endpoints and regions are in their names: that is the SDK's to read, with each request. */
function directOf(sdk: Sdk, client: Target['client'], options: S3Options): Direct {
  if (options.transport === 'sdk' || options.bucket.startsWith('arn:')) return neverDirect
  if (options.client === undefined) return directRequests(client)
  return directWhilePlain(client, changed => plainWatch(sdk, client, changed))
}
