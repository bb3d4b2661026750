import { PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3'
import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { gcs } from '../../src/providers/gcs.ts'
import { fields } from '../../src/s3-client/fields.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import type { Intended } from './differential/compare.ts'
import { chanceOf } from './differential/chance.ts'
import { putObject } from './differential/objects.ts'
import { newWorld } from './differential/world.ts'
import { differencesAtRest } from './differential/rest.ts'
import { runBoth } from './differential/run.ts'
import { bucket, startSides } from './differential/sides.ts'

// A plain client and a wrapped one are asked the same, of two servers that are alike. What they may differ in is one list, `intended` in
// differential/compare.ts; everything else is a mistake of ours.

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31))
const calls = Number(process.env['HOLDFAST_CALLS'] ?? 450)
const again = `HOLDFAST_SEED=${seed} repeats it`

test('a wrapped client answers as a plain one, call by call, from local disk or from a provider', {
  timeout: 120_000,
}, async () => {
  console.log(`differential: HOLDFAST_SEED=${seed}`)
  await using sides = await startSides()
  const { clients, store, primary } = sides
  const found = await runBoth({
    bucket,
    clients,
    seed,
    calls,
    between: async chance => {
      if (chance.percent(50)) await store.drain()
    },
  })
  expect(found.differences.join('\n'), again).toBe('')
  const never = Object.keys(fields).filter(command => !found.counts.has(`${command} answered`))
  if (calls >= 400) expect(never, again).toEqual([])

  await store.drain()
  const atRest = await differencesAtRest(bucket, { plain: clients.plain, wrapped: primary })
  expect(atRest.join('\n'), again).toBe('')
})

test('a client that sends no checksums of its own is answered as without Holdfast too', {
  timeout: 60_000,
}, async () => {
  console.log(`differential, WHEN_REQUIRED: HOLDFAST_SEED=${seed}`)
  await using sides = await startSides({ requestChecksumCalculation: 'WHEN_REQUIRED' })
  const found = await runBoth({ bucket, clients: sides.clients, seed, calls: calls / 4 })
  expect(found.differences.join('\n'), again).toBe('')
})

test('the answers are those of S3 where the primary is no S3', { timeout: 60_000 }, async () => {
  console.log(`differential, GCS first: HOLDFAST_SEED=${seed}`)
  await using google = await startLocalGcs({ buckets: [bucket] })
  const first = gcs({ bucket, name: 'gcs', apiEndpoint: google.endpoint, projectId: 'test' })
  await using sides = await startSides({}, async secondary => [first, secondary])
  const { clients, store } = sides
  const found = await runBoth({
    bucket,
    clients,
    seed,
    calls: calls / 4,
    withFeatures: false,
    between: async chance => {
      if (chance.percent(50)) await store.drain()
    },
  })
  expect(found.differences.join('\n'), again).toBe('')
})

test('objects that were in the bucket before are read, copied and replaced as without Holdfast', {
  timeout: 60_000,
}, async () => {
  console.log(`differential, objects from before: HOLDFAST_SEED=${seed}`)
  await using sides = await startSides()
  const { clients, primary, store } = sides
  const world = newWorld({ bucket, chance: chanceOf(seed), withFeatures: true, withConditions: false })
  for (let turn = 0; turn < 25; turn++) {
    const { input } = putObject(world)
    for (const client of [clients.plain, primary]) {
      // Some are refused: by both.
      await client.send(new PutObjectCommand(input('plain') as unknown as PutObjectCommandInput)).catch(() => {})
    }
  }
  const found = await runBoth({
    bucket,
    clients,
    seed: seed + 1,
    calls: calls / 4,
    between: async chance => {
      if (chance.percent(50)) await store.drain()
    },
  })
  expect(found.differences.join('\n'), again).toBe('')
})

test('uploads in parts that go to the primary are answered by it, and end as objects of the store', {
  timeout: 60_000,
}, async () => {
  console.log(`differential, parts at the primary: HOLDFAST_SEED=${seed}`)
  await using sides = await startSides({}, undefined, { multipart: 'provider', relax: ['ACL'] })
  const { clients, store, primary } = sides
  // What Holdfast itself does in parts shows in ListMultipartUploads while it is being done.
  await store.put('first', 'so that the bucket is known')
  await store.drain()
  await store.delete('first')
  // Without conditions: a Complete that is sent again takes the object in, also under one that S3 would then refuse.
  const plan = { bucket, clients, seed, calls: calls / 4, withConditions: false }
  const found = await runBoth({ ...plan, between: () => store.drain() })
  expect(found.differences.join('\n'), again).toBe('')
  const atRest = await differencesAtRest(bucket, { plain: clients.plain, wrapped: primary })
  expect(atRest.join('\n'), again).toBe('')
})

/** While no cloud can be reached. */
const inOutage: readonly Intended[] = [
  {
    name: 'absence',
    why: 'That a key is absent, or that nothing is on a page, has to be said by a provider, but for keys that were deleted here: ServiceUnavailable.',
    when: (_, { plain, wrapped }) => {
      const { Contents, CommonPrefixes, KeyCount, Marker } = plain.output ?? {}
      const isEmpty = (KeyCount ?? Marker) !== undefined && Contents === undefined && CommonPrefixes === undefined
      const isAbsent = isEmpty || ['NoSuchKey', 'NotFound'].some(name => name === plain.error?.['name'])
      return isAbsent && wrapped.error?.['name'] === 'ServiceUnavailable'
    },
    fields: 'all',
  },
  {
    name: 'pages after the first',
    why: 'A page that begins at a marker may follow one that a provider gave: what is here alone might leave a gap.',
    commands: ['ListObjects'],
    when: ({ Marker }, { wrapped }) => Marker !== undefined && wrapped.error?.['name'] === 'ServiceUnavailable',
    fields: 'all',
  },
]

test('with both clouds down from the start, everything without a condition on a write is answered as by S3', {
  timeout: 90_000,
}, async () => {
  console.log(`differential, outage: HOLDFAST_SEED=${seed}`)
  await using sides = await startSides()
  const { clients, servers, store } = sides
  for (const server of [servers.wrapped, servers.secondary]) await server.fault({ fault: { kind: 'reset' } })
  const found = await runBoth({
    bucket,
    clients,
    seed,
    calls: calls / 4,
    withConditions: false,
    alsoIntended: inOutage,
  })
  expect(found.differences.join('\n'), again).toBe('')

  // And when they are back, they have it all.
  for (const server of [servers.wrapped, servers.secondary]) await server.heal()
  await store.drain()
  const atRest = await differencesAtRest(bucket, { plain: clients.plain, wrapped: sides.primary })
  expect(atRest.join('\n'), again).toBe('')
})
