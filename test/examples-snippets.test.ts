import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Upload } from 'tus-js-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formWith } from './examples/forms.ts'
import { type Programs, programsOf } from './examples/programs.ts'
import { bodyFor } from './kill/body.ts'
import { providersOf, type Started, startClouds } from './support/clouds.ts'
import { bodyAt, eventually, keysOf } from './support/store.ts'

let started: Started
let root: string
let programs: Programs
beforeAll(async () => {
  started = await startClouds()
  root = await mkdtemp(join(tmpdir(), 'holdfast-snippets-'))
  programs = programsOf(started, root)
})
afterAll(async () => {
  await started[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

/** Waits until a provider's object has these bytes, for both. */
async function onBothClouds(key: string, body: Buffer): Promise<void> {
  for (const provider of providersOf(started.clouds))
    await eventually(async () => (await bodyAt(provider, key))?.equals(body), 20_000)
}

test('the flydrive snippet puts, copies, reads, lists and deletes through the wrapped client', async () => {
  const { code, text } = await programs.run('snippets/flydrive.ts')
  expect(text).toContain('Remember the milk.\n')
  expect(text).toContain("contentType: 'text/plain'")
  expect(text).toContain('contentLength: 18')
  expect(text).toContain("[ 'kept.txt' ]")
  expect(code).toBe(0)
})

test('the Fastify snippet streams a form into the store, and on to both clouds', async () => {
  await using server = await programs.serve('snippets/fastify.ts')
  const body = bodyFor('fastify', 3_000_000)
  const answer = await formWith(`${server.url}/photos`, body, 'große Katze.jpg')
  expect(answer.status).toBe(201)
  const { key, size } = (await answer.json()) as { key: string; size: number }
  expect(size).toBe(body.length)
  await onBothClouds(key, body)
})

test('the Fastify snippet stores nothing of a file that is over the limit', async () => {
  await using server = await programs.serve('snippets/fastify.ts', {
    directory: 'fastify-limit',
    env: { LIMIT: '100000' },
  })
  const before = await keysOf(providersOf(started.clouds)[0])
  expect((await formWith(`${server.url}/photos`, bodyFor('over', 100_001), 'over.jpg')).status).toBe(413)
  const exactly = await formWith(`${server.url}/photos`, bodyFor('exactly', 99_999), 'fits.jpg')
  expect(exactly.status).toBe(201)
  const { key } = (await exactly.json()) as { key: string }
  await onBothClouds(key, bodyFor('exactly', 99_999))
  expect(await keysOf(providersOf(started.clouds)[0])).toEqual([...before, key].toSorted())
})

/** An upload with the tus client, in pieces of 256 KiB; answers its id. */
function tusUpload(url: string, body: Buffer, more: Partial<ConstructorParameters<typeof Upload>[1]> = {}) {
  return new Promise<string>((resolve, reject) => {
    const upload = new Upload(body, {
      endpoint: `${url}/files`,
      chunkSize: 256 * 1024,
      retryDelays: [50, 100],
      metadata: { filename: 'cat.jpg', filetype: 'image/jpeg' },
      onError: reject,
      onSuccess: () => resolve(upload.url?.split('/').at(-1) ?? ''),
      ...more,
    })
    upload.start()
  })
}

test('the tus snippet moves a finished upload into the store and removes its file', async () => {
  await using server = await programs.serve('snippets/tus.ts')
  const body = bodyFor('tus', 1_000_000)
  const id = await tusUpload(server.url, body)
  expect(await readdir(join(root, 'tus-uploads'))).toEqual([])
  await onBothClouds(`tus/${id}`, body)
  const [primary] = providersOf(started.clouds)
  expect((await primary.head(`tus/${id}`, AbortSignal.timeout(5_000)))?.headers.contentType).toBe('image/jpeg')
})

test('the tus snippet moves at its next start what could not be moved when it was finished', async () => {
  const where = { directory: 'tus-again' }
  const body = bodyFor('tus again', 600_000)
  let id: string
  {
    // A store that has no room: the put of the finished upload fails, the client retries and is content.
    await using full = await programs.serve('snippets/tus.ts', { ...where, env: { MAX_STAGE_BYTES: '100000' } })
    id = await tusUpload(full.url, body)
    expect(existsSync(join(root, 'tus-again-uploads', id))).toBe(true)
  }
  await using _server = await programs.serve('snippets/tus.ts', where)
  expect(await readdir(join(root, 'tus-again-uploads'))).toEqual([])
  await onBothClouds(`tus/${id}`, body)
})
