import { randomBytes } from 'node:crypto'
import { amz, type Call, type Kept, type Pairs } from './call.ts'
import { Refusal } from './refusal.ts'
import { tagsOf } from './tags.ts'

/**
 * How a write wants its object kept: encryption, access, locks, tags. All of it is checked as S3 checks it, kept, and given back where
 * S3 gives it back; nothing is encrypted for it, and a lock holds nothing (without versions there is nothing that it could hold).
 */
export function keptOf(call: Call): Kept {
  return {
    encryption: encryptionOf(call),
    access: accessOf(call),
    lock: lockOf(call),
    tagging: taggingOf(call),
  }
}

const encryptionHeader = 'x-amz-server-side-encryption'
const keyHeader = `${encryptionHeader}-aws-kms-key-id`
const contextHeader = `${encryptionHeader}-context`
const bucketKeyHeader = `${encryptionHeader}-bucket-key-enabled`
/** Of the example account of Amazon's documentation. */
const defaultKey = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'

/** Whatever is not asked for anything is encrypted with S3's own keys. */
const byDefault: Pairs = [[encryptionHeader, 'AES256']]

function encryptionOf(call: Call): Pairs {
  const asked = amz(call, encryptionHeader)
  const [key, context, bucketKey] = [keyHeader, contextHeader, bucketKeyHeader].map(name => amz(call, name))
  if (asked !== undefined && !['AES256', 'aws:kms', 'aws:kms:dsse'].includes(asked))
    throw new Refusal('InvalidEncryptionAlgorithmError', { ServerSideEncryption: asked })
  if (asked === undefined || asked === 'AES256') {
    if (key === undefined && context === undefined) return byDefault
    throw new Refusal(
      'InvalidArgument',
      { ArgumentName: encryptionHeader, ArgumentValue: asked ?? 'null' },
      'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms',
    )
  }
  const pairs: [string, string][] = [
    [encryptionHeader, asked],
    [keyHeader, key ?? defaultKey],
  ]
  if (context !== undefined) pairs.push([contextHeader, context])
  if (bucketKey?.toLowerCase() === 'true') pairs.push([bucketKeyHeader, 'true'])
  return pairs
}

/** What the answer to a write says of encryption. */
export function encryptionHeaders({ encryption = byDefault }: Pick<Kept, 'encryption'>): Record<string, string> {
  return Object.fromEntries(encryption)
}

/** The ETag of bytes with this MD5: of those under a key of KMS it is none. */
export function etagOfBytes({ encryption = byDefault }: Pick<Kept, 'encryption'>, md5: string): string {
  return hasDigestEtag({ encryption }) ? md5 : randomBytes(16).toString('hex')
}

export function hasDigestEtag({ encryption = byDefault }: Pick<Kept, 'encryption'>): boolean {
  return encryption.some(([name, value]) => name === encryptionHeader && value === 'AES256')
}

/** What reads say of how an object is kept. Who may do what, and the context of a key, are not told. */
export function keptHeaders({ encryption = byDefault, lock = [], tagging }: Kept): Record<string, string> {
  const headers = Object.fromEntries([...encryption.filter(([name]) => name !== contextHeader), ...lock])
  const count = tagsOf(tagging).length
  return count === 0 ? headers : { ...headers, 'x-amz-tagging-count': String(count) }
}

const cannedLists = [
  'private',
  'public-read',
  'public-read-write',
  'authenticated-read',
  'aws-exec-read',
  'bucket-owner-read',
  'bucket-owner-full-control',
]
const grantHeaders = ['full-control', 'read', 'read-acp', 'write-acp'].map(right => `x-amz-grant-${right}`)

/** Buckets belong to their owner alone, as new ones do, unless they were created with another `x-amz-object-ownership`. */
function accessOf(call: Call): Pairs {
  const canned = amz(call, 'x-amz-acl')
  const grants = grantHeaders.flatMap(name => {
    const value = amz(call, name)
    return value === undefined ? [] : [[name, value] as const]
  })
  if (canned !== undefined && !cannedLists.includes(canned))
    throw new Refusal('InvalidArgument', { ArgumentName: 'x-amz-acl', ArgumentValue: canned })
  if (canned !== undefined && grants.length > 0)
    throw new Refusal('InvalidRequest', {}, 'Specifying both Canned ACLs and Header Grants is not allowed')
  const { ownership } = call.state.buckets.get(call.route.bucket ?? '')?.facts ?? {}
  const isOwners = canned === undefined || canned === 'private' || canned === 'bucket-owner-full-control'
  if (ownership === undefined && (!isOwners || grants.length > 0)) throw new Refusal('AccessControlListNotSupported')
  return canned === undefined ? grants : [['x-amz-acl', canned]]
}

const modeHeader = 'x-amz-object-lock-mode'
const untilHeader = 'x-amz-object-lock-retain-until-date'
const holdHeader = 'x-amz-object-lock-legal-hold'

/** As in a bucket with Object Lock. */
function lockOf(call: Call): Pairs {
  const [mode, until, hold] = [modeHeader, untilHeader, holdHeader].map(name => amz(call, name))
  const refuse = (message: string): Refusal => new Refusal('InvalidArgument', {}, message)
  const pairs: [string, string][] = []
  if ((mode === undefined) !== (until === undefined))
    throw refuse(`${untilHeader} and ${modeHeader} must both be supplied`)
  if (mode !== undefined && until !== undefined) {
    if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') throw refuse('Unknown wormMode directive.')
    const time = /^\d{4}-\d\d-\d\dT/.test(until) ? Date.parse(until) : Number.NaN
    if (Number.isNaN(time)) throw refuse('The retain until date must be provided in ISO 8601 format')
    if (time <= Date.now()) throw refuse('The retain until date must be in the future!')
    pairs.push([modeHeader, mode], [untilHeader, new Date(time).toISOString()])
  }
  if (hold !== undefined && hold !== 'ON' && hold !== 'OFF') throw refuse("Legal Hold must be either of 'ON' or 'OFF'")
  if (hold !== undefined) pairs.push([holdHeader, hold])
  return pairs
}

function taggingOf(call: Call): string {
  const tagging = amz(call, 'x-amz-tagging') ?? ''
  tagsOf(tagging)
  return tagging
}
