import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { providersOf, type Started, startClouds } from '../support/clouds.ts'
import { eventually, testDirectory } from '../support/store.ts'

let started: Started
beforeAll(async () => {
  started = await startClouds()
})
afterAll(async () => {
  await started[Symbol.asyncDispose]()
})

const cuts = Number(process.env['HOLDFAST_CUTS'] ?? 1_000)

test(`a body that the primary cuts at a random byte is delivered whole, going on at the secondary: ${cuts} times (N3, I24, I26)`, async () => {
  await using directory = await testDirectory()
  const [s3, gcs] = providersOf(started.clouds)
  const store = await directory.open([s3, gcs])
  // Not small enough to be read whole before the first byte is given.
  const body = randomBytes(3_000_000)
  const receipt = await store.put('photo', body)
  await receipt.replicated({ until: 'verified' })
  await eventually(async () => (await store.status()).stage.bytes === 0)
  let failovers = 0
  store.on('failover', ({ from, to }) => {
    expect([from, to]).toEqual(['s3', 'gcs'])
    failovers++
  })
  for (let i = 0; i < cuts; i++) {
    const afterBytes = Math.floor(Math.random() * body.byteLength)
    await started.s3.fault({ match: { method: 'GET', key: 'photo' }, times: 1, fault: { kind: 'cut', afterBytes } })
    const got = await store.get('photo')
    const bytes = await got?.bytes()
    if (bytes === undefined || !body.equals(bytes))
      throw new Error(`cut after ${afterBytes} bytes: the body is not what was put`)
    await started.s3.heal()
  }
  expect(failovers).toBe(cuts)
}, 300_000)
