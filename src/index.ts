/** Keeps every object of an app on two clouds, with local disk in front. */
export type { Body } from './core/body.ts'
export { type ErrorCode, HoldfastError, type Outcome, type Reason } from './core/errors.ts'
export type {
  ByteRange,
  Capabilities,
  ContentHeaders,
  DeleteResult,
  GetRequest,
  KeyRefusal,
  Limits,
  ListRequest,
  MetadataLimits,
  Proof,
  Provider,
  PutCondition,
  PutRequest,
  PutResult,
  RemoteBody,
  RemoteEntry,
  RemoteObject,
  SignedRequest,
  SignRequest,
  UploadMemo,
} from './core/provider.ts'
export type { Source } from './core/source.ts'
export type { AcceptedBucket } from './holdfast/accept-bucket.ts'
export { defineConfig, type HoldfastConfig } from './holdfast/config.ts'
export type { AbandonedWrite, Blocked, BlockedWrite, Settled } from './holdfast/blocked.ts'
export type { DeleteManyProgress } from './holdfast/delete-many.ts'
export type { HoldfastEvents } from './holdfast/events.ts'
export type { Holdfast } from './holdfast/holdfast.ts'
export type {
  AdoptOptions,
  CloseOptions,
  DeleteOptions,
  GetOptions,
  ListOptions,
  SignOptions,
  UntilOptions,
} from './holdfast/input/calls.ts'
export type { ChecksumAlgorithm, KeptChecksum } from './core/checksum.ts'
export type { FeatureRefusal, ProviderFeatures, S3FeatureName, S3Features } from './core/features.ts'
export type { PartRun } from './core/layout.ts'
export type { DeleteManyOptions } from './holdfast/input/delete-many.ts'
export type { InspectOptions } from './holdfast/input/inspect.ts'
export type {
  AbandonOptions,
  AcceptBucketOptions,
  BlockedListOptions,
  BlockedSelection,
  RetireOptions,
} from './holdfast/input/settle.ts'
export type { AckLevel, CallOptions, PutOptions } from './holdfast/input/put.ts'
export type { BackfillOptions, EstimateOptions, EvacuateOptions } from './holdfast/input/fill.ts'
export type { ReconcileOptions } from './holdfast/input/reconcile.ts'
export type {
  InspectedObject,
  InspectedProvider,
  InspectedReplica,
  InspectedWrite,
  Inspection,
} from './holdfast/inspect.ts'
export { openHoldfast } from './holdfast/open.ts'
export type { HoldfastOptions, ReadOptions, ReplicationOptions, ScrubOptions } from './holdfast/options.ts'
export type { ScrubPassStatus, ScrubStatus } from './holdfast/scrubbing.ts'
export type { PutReceipt, Receipt } from './holdfast/receipt.ts'
export type { ReconcileRun } from './holdfast/reconcile.ts'
export type { SignedUrl } from './holdfast/sign.ts'
export type { Status } from './holdfast/status.ts'
export type {
  CompleteOptions,
  OpenUpload,
  PartOptions,
  Upload,
  UploadOptions,
  UploadPart,
  Uploads,
} from './holdfast/uploads.ts'
export type { ListEntry, ObjectInfo, StoredObject } from './read/types.ts'
export type { CheckResult } from './replicate/check.ts'
export type { Run } from './core/run.ts'
export type { FillEstimate, RequestCounts } from './reconcile/fill-estimate.ts'
export type { FillProgress, FillResult } from './reconcile/fill-types.ts'
export type { Price, PriceTable } from './reconcile/prices.ts'
export type { Drift, Found, GuardFinding, ReconcileCounters } from './reconcile/types.ts'
