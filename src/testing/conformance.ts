import { testAborts } from './conformance/aborts.ts'
import { testAttributes } from './conformance/attributes.ts'
import { checks, type ConformanceOptions } from './conformance/bench.ts'
import { testConditions } from './conformance/conditions.ts'
import { testContract } from './conformance/contract.ts'
import { testFeatures } from './conformance/features.ts'
import { testKeys } from './conformance/keys.ts'
import { testListing } from './conformance/listing.ts'
import { testObjects } from './conformance/objects.ts'
import { testSources } from './conformance/sources.ts'
import { testUploads } from './conformance/uploads.ts'

export type { ConformanceOptions, Created } from './conformance/bench.ts'

/**
 * Registers the tests that every provider passes: the contract of `Provider`, in executable form. What they do not check is not
 * promised. Which of them are about conditions, pins or signatures follows from what the provider says in `capabilities`: where it says
 * that it can, it has to, and where it says that it cannot, it has to refuse rather than to pretend. Takes any test runner; assertions
 * are those of node:assert.
 *
 * ```ts
 * testProvider({ test, name: 'memory', create: async () => ({ provider: memory() }) })
 * ```
 */
export function testProvider(options: ConformanceOptions): void {
  const check = checks(options)
  testContract(check, options)
  testObjects(check, options)
  testAttributes(check)
  testKeys(check)
  testConditions(check)
  testSources(check)
  testUploads(check)
  testAborts(check)
  testListing(check)
  testFeatures(check)
}
