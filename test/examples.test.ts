import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bodyFor } from './kill/body.ts'
import { atLocalClouds, blocksOf } from './examples/page.ts'
import { type Programs, programsOf } from './examples/programs.ts'
import { type Started, startClouds } from './support/clouds.ts'

let started: Started
let root: string
let programs: Programs
beforeAll(async () => {
  started = await startClouds()
  root = await mkdtemp(join(tmpdir(), 'holdfast-examples-'))
  programs = programsOf(started, root)
})
afterAll(async () => {
  await started[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

test('the plain script puts a file, reads it back, and has it on both clouds', async () => {
  const file = join(root, 'cat.jpg')
  await writeFile(file, bodyFor('cat', 200_000))
  const { code, text } = await programs.run('plain.ts', [file])
  expect(text).toMatch(
    /acknowledged: cat\.jpg, 200000 bytes, version [0-9a-f]{32}\nread back from \S+: 200000 bytes\non both clouds\n/,
  )
  expect(code).toBe(0)
})

test('the Express example streams uploads and downloads, ranges too, and says what was wrong', async () => {
  await using server = await programs.serve('express-upload.ts')
  const body = bodyFor('express', 500_000)
  const url = `${server.url}/photos/dog.jpg`
  const put = await fetch(url, { method: 'PUT', body, headers: { 'content-type': 'image/jpeg' } })
  expect(put.status).toBe(201)
  expect(await put.json()).toMatchObject({ size: 500_000 })
  const got = await fetch(url)
  expect(got.headers.get('content-type')).toBe('image/jpeg')
  expect(body.equals(new Uint8Array(await got.arrayBuffer()))).toBe(true)
  const part = await fetch(url, { headers: { range: 'bytes=100-199' } })
  expect(part.status).toBe(206)
  expect(part.headers.get('content-range')).toBe('bytes 100-199/500000')
  expect(body.subarray(100, 200).equals(new Uint8Array(await part.arrayBuffer()))).toBe(true)
  const refused = await fetch(`${server.url}/photos/a%00b`, { method: 'PUT', body: 'x' })
  expect(refused.status).toBe(400)
  expect(await refused.json()).toMatchObject({ code: 'INVALID', field: 'key' })
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(204)
  expect((await fetch(url)).status).toBe(404)
  expect(await (await fetch(`${server.url}/status`)).json()).toMatchObject({ accepted: 2 })
})

test('the Hono example does the same with web streams', async () => {
  await using server = await programs.serve('hono-stream.ts')
  const body = bodyFor('hono', 300_000)
  const url = `${server.url}/photos/bird.png`
  const put = await fetch(url, { method: 'PUT', body, headers: { 'content-type': 'image/png' } })
  expect(put.status).toBe(201)
  const got = await fetch(url)
  expect(got.headers.get('content-type')).toBe('image/png')
  expect(body.equals(new Uint8Array(await got.arrayBuffer()))).toBe(true)
  expect((await fetch(`${server.url}/photos/nothing`)).status).toBe(404)
})

test("the README's code runs as it stands", async () => {
  const readme = await readFile(here('../README.md'), 'utf8')
  const [code = '', wrapping = ''] = blocksOf(readme, 'ts')
  expect(code).toContain('openHoldfast')
  expect(wrapping).toContain('withHoldfast')
  const local = atLocalClouds(`${code}${wrapping}`, started, join(root, 'readme'))
  const around = `const upload = Buffer.alloc(100_000, 7)\n${local}
    const bytes = await photo?.bytes()
    const dog = await store.head('2026/dog.jpg')
    await store.drain()
    await store.close()
    console.log(photo?.info.contentType, bytes?.byteLength, dog?.size)`
  const program = join(root, 'readme.mts')
  await writeFile(program, around)
  await symlink(here('../node_modules'), join(root, 'node_modules'))
  const { code: exit, text } = await programs.run(program)
  expect(text).toBe('image/jpeg 100000 100000\n')
  expect(exit).toBe(0)
})
