import { afterAll, beforeAll } from 'vitest'
import { singleCalls } from './calls.ts'
import { type Cloud, type CloudName, startCloud } from './clouds.ts'
import { identities, lastingIdentities } from './identities.ts'
import { lies } from './lies.ts'
import { movingNames, names } from './names.ts'
import { sceneBuckets } from './scene.ts'
import { stores } from './stores.ts'

type Part = (name: CloudName, cloudOf: () => Cloud) => void

/** Rows N1 to N17 of the fault matrix for one cloud: its real SDK, a network that breaks on command, and the cloud on loopback. */
export function testCalls(name: CloudName): void {
  withCloud(name, [singleCalls, lies, names, identities])
}

/** The same for whole stores, which takes longer: they wait, and try again. */
export function testStores(name: CloudName): void {
  withCloud(name, [stores, movingNames, lastingIdentities])
}

function withCloud(name: CloudName, parts: readonly Part[]): void {
  let cloud: Cloud
  beforeAll(async () => {
    cloud = await startCloud(name, ['photos', ...sceneBuckets])
  })
  afterAll(() => cloud[Symbol.asyncDispose]())
  for (const part of parts) part(name, () => cloud)
}
