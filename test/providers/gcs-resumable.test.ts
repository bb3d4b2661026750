import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider, PutRequest, UploadMemo } from '../../src/core/provider.ts'
import type { Fault, LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { localGcs, noise, patient, putRequest, unit } from './gcs-support.ts'

let cloud: LocalCloud
let provider: Provider

beforeAll(async () => {
  cloud = await startLocalGcs({ buckets: ['main'] })
  provider = localGcs(cloud)
})

afterEach(async () => {
  await cloud.heal()
  await cloud.requests({ reset: true })
})
afterAll(() => cloud.stop())

const bytes = noise(unit * 6 + 100)

interface Memory {
  readonly memo: UploadMemo
  readonly states: string[]
}

function remembering(saved?: string): Memory {
  const states: string[] = []
  return { states, memo: { saved, save: async state => void states.push(state) } }
}

function large(key: string, upload: UploadMemo, more: Partial<PutRequest> = {}): PutRequest {
  return putRequest(key, bytes, { upload, ...more })
}

async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  const error: unknown = await promise.then(
    () => new Error('resolved'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof HoldfastError)) throw error
  return error
}

async function holds(key: string): Promise<void> {
  const found = await provider.get({ key, range: undefined, token: undefined }, patient())
  expect(Buffer.concat(await Array.fromAsync(found?.body ?? [])).equals(bytes)).toBe(true)
}

const chunks = async (): Promise<(string | undefined)[]> =>
  (await cloud.requests())
    .filter(({ operation }) => operation === 'resumable.chunk')
    .map(({ headers }) => headers['content-range'])

/** Breaks the nth chunk of this key. */
const breakChunk = (key: string, nth: number, fault: Fault): Promise<string> =>
  cloud.fault({ match: { operation: 'resumable.chunk', key }, skip: nth, times: 1, fault })

test('a body over the threshold goes up in chunks, under one condition and its digests', async () => {
  const { memo, states } = remembering()
  const { proof, token } = await provider.put(large('plain', memo, { condition: { absent: true } }), patient())
  expect(proof).toBe('server-full')
  await holds('plain')
  const seen = await cloud.requests()
  expect(seen[0]?.operation).toBe('resumable.start')
  expect(seen[0]?.url).toContain('ifGenerationMatch=0')
  expect(seen[0]?.headers['x-upload-content-length']).toBe(String(bytes.byteLength))
  const size = bytes.byteLength
  expect(await chunks()).toEqual([
    ...[0, 1, 2, 3, 4, 5].map(n => `bytes ${n * unit}-${(n + 1) * unit - 1}/${size}`),
    `bytes ${unit * 6}-${size - 1}/${size}`,
  ])
  expect(states).toHaveLength(7)
  expect((await provider.head('plain', patient()))?.token).toBe(token)
})

test('what was cut off goes on at the byte that the service has, in another process too (G4)', async () => {
  const first = remembering()
  await breakChunk('cut', 3, { kind: 'reset', of: 'request', afterBytes: 1000 })
  const error = await failure(provider.put(large('cut', first.memo), patient()))
  expect([error.reason, error.outcome]).toEqual(['NETWORK', 'rejected'])
  await cloud.requests({ reset: true })
  await localGcs(cloud).put(large('cut', remembering(first.states.at(-1)).memo), patient())
  expect((await cloud.requests())[0]?.operation).toBe('resumable.query')
  expect((await chunks())[0]).toBe(`bytes ${unit * 3}-${unit * 4 - 1}/${bytes.byteLength}`)
  await holds('cut')
})

test('an upload whose last answer was lost is found complete, and nothing is sent again (G4, N6, I15)', async () => {
  const first = remembering()
  await breakChunk('complete', 6, { kind: 'lose-answer' })
  const error = await failure(provider.put(large('complete', first.memo, { condition: { absent: true } }), patient()))
  expect([error.reason, error.outcome]).toEqual(['NETWORK', 'unknown'])
  await cloud.requests({ reset: true })
  const again = remembering(first.states.at(-1))
  const result = await provider.put(large('complete', again.memo, { condition: { absent: true } }), patient())
  expect(await chunks()).toEqual([])
  expect((await provider.head('complete', patient()))?.token).toBe(result.token)
  await holds('complete')
})

test.each([404, 410])('a session that is gone (%i) is begun again, once (G4, I29)', async status => {
  const first = remembering()
  await breakChunk(`gone ${status}`, 2, { kind: 'reset' })
  await failure(provider.put(large(`gone ${status}`, first.memo), patient()))
  await cloud.fault({ match: { operation: 'resumable.query' }, times: 1, fault: { kind: 'status', status } })
  await provider.put(large(`gone ${status}`, remembering(first.states.at(-1)).memo), patient())
  await holds(`gone ${status}`)

  await cloud.fault({ match: { operation: 'resumable.chunk' }, fault: { kind: 'status', status } })
  const error = await failure(provider.put(large(`gone ${status}`, remembering().memo), patient()))
  expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'UPLOAD_GONE', true])
})

test('a session is only gone on with for the very same write', async () => {
  const first = remembering()
  await breakChunk('same', 2, { kind: 'reset' })
  await failure(provider.put(large('same', first.memo, { condition: { absent: true } }), patient()))
  const saved = first.states.at(-1)
  const others: readonly Partial<PutRequest>[] = [
    { condition: { token: '7' } },
    { condition: undefined, metadata: { a: 'b' } },
    { condition: undefined, headers: { contentType: 'text/plain' } },
  ]
  for (const other of others) {
    await cloud.requests({ reset: true })
    await provider.put(large('same', remembering(saved).memo, other), patient()).catch(() => {})
    expect((await cloud.requests())[0]?.operation).toBe('resumable.start')
  }
  await cloud.requests({ reset: true })
  await provider.put({ ...large('another', remembering(saved).memo), condition: { absent: true } }, patient())
  expect((await cloud.requests())[0]?.operation).toBe('resumable.start')
})

test('a condition that fails while the upload runs is found at the end, and nothing is stored (G3, G4)', async () => {
  await cloud.fault({
    match: { operation: 'resumable.chunk', key: 'raced' },
    skip: 6,
    times: 1,
    fault: { kind: 'slow', ms: 0 },
  })
  let puts = 0
  const memo: UploadMemo = {
    saved: undefined,
    async save() {
      if (++puts === 4) await provider.put(putRequest('raced', 'somebody else'), patient())
    },
  }
  const error = await failure(provider.put(large('raced', memo, { condition: { absent: true } }), patient()))
  expect([error.code, error.reason, error.outcome]).toEqual(['PRECONDITION', 'CONDITION', 'rejected'])
  expect((await provider.head('raced', patient()))?.size).toBe(13)
})

test('a service that takes less than was sent is followed, one that takes nothing is left (G4)', async () => {
  await breakChunk('less', 1, { kind: 'reset', of: 'request', afterBytes: 1 })
  await failure(provider.put(large('less', remembering().memo), patient()))
  await cloud.fault({
    match: { operation: 'resumable.chunk', key: 'nothing' },
    fault: { kind: 'status', status: 308 },
  })
  const error = await failure(provider.put(large('nothing', remembering().memo), patient()))
  expect([error.code, error.reason]).toEqual(['UNAVAILABLE', 'PROTOCOL'])
})

test('an abandoned session is closed at the service', async () => {
  const first = remembering()
  await breakChunk('left', 2, { kind: 'reset' })
  await failure(provider.put(large('left', first.memo), patient()))
  const saved = first.states.at(-1) ?? ''
  await provider.abandon('left', saved, patient())
  expect((await cloud.requests()).at(-1)).toMatchObject({ operation: 'resumable.cancel', status: 499 })
  await provider.abandon('left', saved, patient())
  await cloud.fault({ match: { operation: 'resumable.cancel' }, times: 1, fault: { kind: 'status', status: 503 } })
  expect((await failure(provider.abandon('left', saved, patient()))).reason).toBe('SERVER')
})

test('the address of a session is a secret: no error shows it (G4, I42, X1)', async () => {
  const faults: readonly Fault[] = [
    { kind: 'reset' },
    { kind: 'status', status: 503 },
    { kind: 'status', status: 403, message: 'no: https://x/upload?upload_id=AAAA1111' },
    { kind: 'html' },
    { kind: 'redirect', status: 308, location: 'https://x/?upload_id=AAAA1111' },
    { kind: 'status', status: 412 },
  ]
  for (const fault of faults) {
    const { memo, states } = remembering()
    await breakChunk('secret', 1, fault)
    const error = await failure(provider.put(large('secret', memo), patient()))
    const id = /upload_id=([\w-]+)/.exec(states[0] ?? '')?.[1] ?? ''
    expect(id.length).toBeGreaterThan(20)
    for (const shown of [inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error), String(error.stack)]) {
      expect(shown).not.toContain(id)
      expect(shown).not.toContain('AAAA1111')
    }
    await cloud.heal()
  }
})
