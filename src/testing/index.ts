/** For those who write a provider, or rehearse an outage. */
export { type ManualClock, manualClock, seededRandom } from './clock.ts'
export { type ConformanceOptions, type Created, testProvider } from './conformance.ts'
export { faulty, type FaultyOptions } from './faulty.ts'
export {
  accountClosed,
  type FaultyCall,
  type FaultyOperation,
  type FaultyRule,
  type Faults,
  outage,
  type ProviderFault,
  throttled,
} from './faulty/rules.ts'
export type {
  Fault,
  FaultRule,
  LocalCloud,
  LocalCloudOptions,
  LocalCredentials,
  SeenRequest,
} from './local/cloud.ts'
export { type LocalGcsOptions, type Operation as GcsOperation, startLocalGcs } from './local/gcs/start.ts'
export { startLocalS3 } from './local/s3/index.ts'
