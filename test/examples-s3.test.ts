import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Provider } from '../src/core/provider.ts'
import { startLocalGcs } from '../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../src/testing/local/s3/index.ts'
import { formWith } from './examples/forms.ts'
import { type Programs, programsOf } from './examples/programs.ts'
import { bodyFor } from './kill/body.ts'
import { bucket, providersOf, type Started, startClouds } from './support/clouds.ts'
import { bodyAt, eventually } from './support/store.ts'

let started: Started
let root: string
let programs: Programs
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-examples-s3-'))
  started = await startClouds(root)
  programs = programsOf(started, root)
})
afterAll(async () => {
  await started[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

async function onBothClouds(key: string, body: Buffer): Promise<void> {
  for (const provider of providersOf(started.clouds))
    await eventually(async () => (await bodyAt(provider, key))?.equals(body), 20_000)
}

/** What a service says of an object in its own listing. */
async function listedEtag(provider: Provider, key: string): Promise<string | undefined> {
  const request = { prefix: key, delimiter: '', startAfter: '' }
  for await (const entry of provider.list(request, AbortSignal.timeout(10_000)))
    if (entry.type === 'object' && entry.key === key) return entry.etag
  return undefined
}

async function read(url: string): Promise<{ status: number; type: string | null; body: Buffer }> {
  const answer = await fetch(url)
  const body = Buffer.from(await answer.arrayBuffer())
  return { status: answer.status, type: answer.headers.get('content-type'), body }
}

test('multer-s3 stores a form on the wrapped client, small files and large ones, and gives them back', async () => {
  await using server = await programs.serve('multer-s3.ts')
  for (const size of [70_000, 12_000_000]) {
    const body = bodyFor(`multer ${size}`, size)
    const answer = await formWith(`${server.url}/photos`, body, 'cat.jpg')
    expect(answer.status).toBe(201)
    const { key, etag } = (await answer.json()) as { key: string; etag: string }
    // 12 MB are three parts of lib-storage's 5 MiB.
    expect(etag).toMatch(size > 5 * 2 ** 20 ? /^"[0-9a-f]{32}-3"$/ : /^"[0-9a-f]{32}"$/)
    const back = await read(`${server.url}/photos/${key}`)
    expect(back).toMatchObject({ status: 200, type: 'image/jpeg' })
    expect(back.body.equals(body)).toBe(true)
    await onBothClouds(key, body)
    expect(`"${await listedEtag(providersOf(started.clouds)[0], key)}"`).toBe(etag)
  }
  expect((await fetch(`${server.url}/photos/nothing`)).status).toBe(404)
})

test('lib-storage uploads in parts, says how far it is, and the object reaches both clouds', async () => {
  const file = join(root, 'film.mp4')
  const body = bodyFor('film', 20 * 2 ** 20)
  await writeFile(file, body)
  const { code, text } = await programs.run('upload-progress.ts', [file])
  expect(text.match(/^part \d: \d+ bytes are safe$/gm)).toHaveLength(3)
  expect(text).toContain(`: ${body.length} bytes are safe\n`)
  expect(text).toMatch(/^acknowledged: film\.mp4, ETag "[0-9a-f]{32}-3"$/m)
  expect(text).toMatch(/on both clouds\n$/)
  expect(code).toBe(0)
  await onBothClouds('film.mp4', body)
})

test('the NestJS app gives its controllers the wrapped client, and closes the store when it is told to end', async () => {
  const body = bodyFor('nest', 400_000)
  {
    await using server = await programs.serve('nest.ts')
    const url = `${server.url}/photos/nest.png`
    const put = await fetch(url, {
      method: 'PUT',
      body: Uint8Array.from(body),
      headers: { 'content-type': 'image/png' },
    })
    expect(put.status).toBe(200)
    expect(await put.json()).toEqual({ etag: expect.stringMatching(/^"[0-9a-f]{32}"$/) })
    const back = await read(url)
    expect(back).toMatchObject({ status: 200, type: 'image/png' })
    expect(back.body.equals(body)).toBe(true)
    expect((await fetch(`${server.url}/photos/nothing`)).status).toBe(404)
  }
  // It ended with 0, after it had waited for what was on its way.
  const [primary] = providersOf(started.clouds)
  expect((await bodyAt(primary, 'nest.png'))?.equals(body)).toBe(true)
})

test('with both clouds down multer-s3 stores and reads back as ever; both have it when they are back', async () => {
  await using server = await programs.serve('multer-s3.ts', { directory: 'outage' })
  const { s3, gcs } = started
  await Promise.all([s3.stop(), gcs.stop()])
  const body = bodyFor('outage', 11_000_000)
  const answer = await formWith(`${server.url}/photos`, body, 'outage.jpg')
  expect(answer.status).toBe(201)
  const { key } = (await answer.json()) as { key: string }
  expect((await read(`${server.url}/photos/${key}`)).body.equals(body)).toBe(true)

  const again = { buckets: [bucket], process: 'own' } as const
  await using _s3 = await startLocalS3({
    ...again,
    directory: `${root}/s3`,
    port: s3.port,
    credentials: s3.credentials,
  })
  await using _gcs = await startLocalGcs({
    ...again,
    directory: `${root}/gcs`,
    port: gcs.port,
    credentials: gcs.credentials,
  })
  await onBothClouds(key, body)
}, 60_000)
