import { fields, type HandledCommand } from './fields.ts'

/** What becomes of a command that names a bucket with a store. */
export type Decision =
  /** Answered by Holdfast, field by field as `fields.ts` says. */
  | { readonly go: 'here'; readonly command: HandledCommand }
  /** To the client's own bucket, as it is. */
  | { readonly go: 'pass'; readonly note: string }
  /** Rejected before anything happens; `why` ends the sentence "<command> …: ". */
  | { readonly go: 'refused'; readonly why: string }

const asked = 'Asks the client’s own bucket; where a new write of the key is not there yet, again for up to 5 seconds.'

/** Reads of what only one bucket knows. */
const read = { go: 'pass', note: asked } as const

const refused = (why: string): Decision => ({ go: 'refused', why })

const again = (field: string): Decision =>
  refused(`it would change one copy, past the journal: write the object again (CopyObject onto itself) with ${field}`)

const ofOneService = refused('annotations belong to one service and are not mirrored: use the client as it was')

/** Commands that touch an object, and are not answered here. */
const objectCommands: Readonly<Record<string, Decision>> = {
  GetObjectAcl: read,
  GetObjectTagging: read,
  GetObjectRetention: read,
  GetObjectLegalHold: read,
  GetObjectTorrent: read,
  GetObjectAnnotation: read,
  ListObjectAnnotations: read,
  ListObjectVersions: read,
  SelectObjectContent: read,
  RestoreObject: {
    go: 'pass',
    note: 'Changes no object: the client’s own bucket thaws its copy for a time. The other copies stay as they are.',
  },
  PutObjectAcl: again('ACL or Grant…'),
  PutObjectTagging: again('Tagging'),
  DeleteObjectTagging: again('TaggingDirective REPLACE and no Tagging'),
  PutObjectRetention: again('ObjectLockMode and ObjectLockRetainUntilDate'),
  PutObjectLegalHold: again('ObjectLockLegalHoldStatus'),
  UpdateObjectEncryption: again('ServerSideEncryption and SSEKMSKeyId'),
  PutObjectAnnotation: ofOneService,
  DeleteObjectAnnotation: ofOneService,
  RenameObject: refused('it would move one copy, past the journal: CopyObject, then DeleteObject'),
}

const ofTheBucket = { go: 'pass', note: 'Touches no object.' } as const

/** Commands about buckets, sessions and the account. Named one by one, so that a new one of the SDK is looked at before it passes. */
const bucketCommands = [
  'CreateBucket',
  'CreateBucketMetadataConfiguration',
  'CreateBucketMetadataTableConfiguration',
  'CreateSession',
  'DeleteBucket',
  'DeleteBucketAnalyticsConfiguration',
  'DeleteBucketCors',
  'DeleteBucketEncryption',
  'DeleteBucketIntelligentTieringConfiguration',
  'DeleteBucketInventoryConfiguration',
  'DeleteBucketLifecycle',
  'DeleteBucketMetadataConfiguration',
  'DeleteBucketMetadataTableConfiguration',
  'DeleteBucketMetricsConfiguration',
  'DeleteBucketOwnershipControls',
  'DeleteBucketPolicy',
  'DeleteBucketReplication',
  'DeleteBucketTagging',
  'DeleteBucketWebsite',
  'DeletePublicAccessBlock',
  'GetBucketAbac',
  'GetBucketAccelerateConfiguration',
  'GetBucketAcl',
  'GetBucketAnalyticsConfiguration',
  'GetBucketCors',
  'GetBucketEncryption',
  'GetBucketIntelligentTieringConfiguration',
  'GetBucketInventoryConfiguration',
  'GetBucketLifecycleConfiguration',
  'GetBucketLocation',
  'GetBucketLogging',
  'GetBucketMetadataConfiguration',
  'GetBucketMetadataTableConfiguration',
  'GetBucketMetricsConfiguration',
  'GetBucketNotificationConfiguration',
  'GetBucketOwnershipControls',
  'GetBucketPolicy',
  'GetBucketPolicyStatus',
  'GetBucketReplication',
  'GetBucketRequestPayment',
  'GetBucketTagging',
  'GetBucketVersioning',
  'GetBucketWebsite',
  'GetObjectLockConfiguration',
  'GetPublicAccessBlock',
  'HeadBucket',
  'ListBucketAnalyticsConfigurations',
  'ListBucketIntelligentTieringConfigurations',
  'ListBucketInventoryConfigurations',
  'ListBucketMetricsConfigurations',
  'ListBuckets',
  'ListDirectoryBuckets',
  'PutBucketAbac',
  'PutBucketAccelerateConfiguration',
  'PutBucketAcl',
  'PutBucketAnalyticsConfiguration',
  'PutBucketCors',
  'PutBucketEncryption',
  'PutBucketIntelligentTieringConfiguration',
  'PutBucketInventoryConfiguration',
  'PutBucketLifecycleConfiguration',
  'PutBucketLogging',
  'PutBucketMetricsConfiguration',
  'PutBucketNotificationConfiguration',
  'PutBucketOwnershipControls',
  'PutBucketPolicy',
  'PutBucketReplication',
  'PutBucketRequestPayment',
  'PutBucketTagging',
  'PutBucketVersioning',
  'PutBucketWebsite',
  'PutObjectLockConfiguration',
  'PutPublicAccessBlock',
  'UpdateBucketMetadataAnnotationTableConfiguration',
  'UpdateBucketMetadataInventoryTableConfiguration',
  'UpdateBucketMetadataJournalTableConfiguration',
  'WriteGetObjectResponse',
] as const

/** Every command that was decided, by its name in the SDK's schema. */
export const commands: Readonly<Record<string, Decision>> = {
  ...Object.fromEntries(
    Object.keys(fields).map(command => [command, { go: 'here', command: command as HandledCommand } as const]),
  ),
  ...objectCommands,
  ...Object.fromEntries(bucketCommands.map(command => [command, ofTheBucket])),
}

/**
 * Decides by the table. A command that is not in it (of a newer SDK, or the app's own) passes unless it names a key: then nobody knows what it does to
 * the object, and it is refused. `hasKey`: the input that was given has a `Key`.
 */
export function decide(command: string, hasKey: boolean): Decision {
  const found = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (found !== undefined) return found
  return hasKey ? refused('this version of Holdfast does not know the command') : ofTheBucket
}
