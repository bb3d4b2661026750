import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { clientOf, failure, pieces, signedRaw } from './local-s3-tools.ts'

const Bucket = 'own'
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-local-s3-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // A killed child of ours stays a zombie until it is waited for.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return true
  }
}

/** Megabytes of memory that the process held at most. */
const peakOf = (pid: number): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024

describe('in a process of its own', () => {
  test('it takes faults, tells what was asked, and stops at once', async () => {
    const cloud = await startLocalS3({ buckets: [Bucket], process: 'own' })
    expect(cloud.pid).not.toBe(process.pid)
    const client = clientOf(cloud)
    const id = await cloud.fault({ match: { operation: 'PutObject' }, fault: { kind: 'status', status: 503 } })
    expect((await failure(client.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'x' })))).name).toBe('SlowDown')
    await cloud.heal(id)
    await client.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'x' }))
    expect((await cloud.requests({ reset: true })).map(({ status }) => status)).toEqual([503, 200])
    await cloud.fault({ fault: { kind: 'stall' } })
    const stalled = failure(client.send(new GetObjectCommand({ Bucket, Key: 'a' })))
    await expect.poll(async () => (await cloud.requests()).length).toBe(1)
    await cloud.stop()
    expect((await stalled).error).toMatchObject({ code: 'ECONNRESET' })
    expect(gone(cloud.pid)).toBe(true)
    expect((await failure(cloud.requests())).error).toMatchObject({ code: 'CLOSED' })
    await cloud.stop()
    client.destroy()
  })

  test('killed and started again at the same address, it has all that it acknowledged', async () => {
    let cloud = await startLocalS3({ buckets: [Bucket], process: 'own', directory })
    const client = clientOf(cloud)
    const acknowledged = new Set<string>()
    let writes = 0
    const upload = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'in-parts' }))
    const part = { Bucket, Key: 'in-parts', UploadId: upload.UploadId, PartNumber: 1, Body: Buffer.alloc(5_300_000, 1) }
    const { ETag } = await client.send(new UploadPartCommand(part))
    for (let life = 0; life < 3; life++) {
      const writers = Array.from({ length: 6 }, async (_, writer) => {
        for (let i = 0; ; i++) {
          const Key = `${writer}/${i % 20}`
          const Body = Buffer.alloc(writer === 0 ? 400_000 : 100, `${life} ${writer} ${i} `)
          await client.send(new PutObjectCommand({ Bucket, Key, Body }))
          acknowledged.add(Key)
          writes++
        }
      })
      const stopped = Promise.allSettled(writers)
      const enough = writes + 150
      await expect.poll(() => writes, { interval: 5, timeout: 20_000 }).toBeGreaterThan(enough)
      process.kill(cloud.pid, 'SIGKILL')
      await stopped
      cloud = await startLocalS3({ process: 'own', directory, port: cloud.port })
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
      const found = new Set(Contents.map(each => each.Key))
      for (const Key of acknowledged) {
        const body = (await client.send(new GetObjectCommand({ Bucket, Key }))).Body
        // Checked against its checksum by the SDK. A write that was not acknowledged may have replaced it.
        const [, writer] = /^\d (\d) \d+ /.exec((await body?.transformToString()) ?? '') ?? []
        expect([Key, writer]).toEqual([Key, Key.split('/')[0]])
        expect(found.has(Key)).toBe(true)
      }
    }
    const { UploadId } = upload
    await client.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key: 'in-parts',
        UploadId,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
      }),
    )
    expect((await client.send(new HeadObjectCommand({ Bucket, Key: 'in-parts' }))).ContentLength).toBe(5_300_000)
    await cloud.stop()
    client.destroy()
  }, 60_000)

  test('it ends when its parent was killed', async () => {
    const start = `
      import { startLocalS3 } from ${JSON.stringify(new URL('../../src/testing/local/s3/index.ts', import.meta.url).href)}
      const cloud = await startLocalS3({ process: 'own' })
      process.stdout.write(cloud.pid + '\\n')
      setInterval(() => {}, 1_000)`
    const file = join(directory, 'parent.mts')
    await writeFile(file, start)
    const parent = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const pid = Number(await new Promise(resolve => parent.stdout.once('data', resolve)))
    expect(gone(pid)).toBe(false)
    parent.kill('SIGKILL')
    await expect.poll(() => gone(pid), { timeout: 5_000 }).toBe(true)
  })

  test('it does not keep its parent', async () => {
    const start = `
      import { startLocalS3 } from ${JSON.stringify(new URL('../../src/testing/local/s3/index.ts', import.meta.url).href)}
      const cloud = await startLocalS3({ process: 'own' })
      await cloud.fault({ fault: { kind: 'stall' } })
      await cloud.requests()
      process.stdout.write(cloud.pid + '\\n')`
    const file = join(directory, 'parent.mts')
    await writeFile(file, start)
    const parent = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise(resolve => parent.once('exit', resolve))
    const pid = Number(await new Promise(resolve => parent.stdout.once('data', resolve)))
    expect(await ended).toBe(0)
    await expect.poll(() => gone(pid), { timeout: 5_000 }).toBe(true)
  })

  test('what it cannot start with is told', async () => {
    await using first = await startLocalS3({ process: 'own', directory: join(directory, 'a') })
    expect(first.port).toBeGreaterThan(0)
    const bad = startLocalS3({ process: 'own', buckets: ['Not_A_Bucket'] })
    expect((await failure(bad)).error.message).toContain('Not_A_Bucket')
    const taken = startLocalS3({ process: 'own', port: first.port })
    expect((await failure(taken)).error).toMatchObject({ code: 'UNAVAILABLE' })
  }, 20_000)

  test.each(['on disk', 'discarding'])(
    'a body of 200 MB goes through it, %s, without being held in memory',
    async mode => {
      await using cloud = await startLocalS3({
        buckets: [Bucket],
        process: 'own',
        ...(mode === 'on disk' ? { directory } : { discard: true }),
      })
      const client = clientOf(cloud, mode === 'on disk' ? {} : { responseChecksumValidation: 'WHEN_REQUIRED' })
      await client.send(new PutObjectCommand({ Bucket, Key: 'warm', Body: 'x' }))
      const before = peakOf(cloud.pid)
      const size = 200_000_000
      const Body = Readable.from(pieces(size))
      await client.send(new PutObjectCommand({ Bucket, Key: 'large', Body, ContentLength: size }))
      const parts = { Bucket, Key: 'parts', Body: Readable.from(pieces(50_000_000)) }
      await new Upload({ client, params: parts, partSize: 20_000_000 }).done()
      const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'large' }))
      let read = 0
      for await (const chunk of answer.Body as AsyncIterable<Uint8Array>) read += chunk.byteLength
      expect(read).toBe(size)
      expect(peakOf(cloud.pid) - before).toBeLessThan(120)
      client.destroy()
    },
    120_000,
  )
})

describe('on disk', () => {
  test('objects that are replaced or deleted leave no files, and reads under way go on', async () => {
    await using cloud = await startLocalS3({ buckets: [Bucket], directory })
    const path = `/${Bucket}/replaced`
    for (let i = 0; i < 5; i++) await signedRaw(cloud, 'PUT', path, Buffer.alloc(1_000_000, String(i)))
    const client = clientOf(cloud)
    const reading = await client.send(new GetObjectCommand({ Bucket, Key: 'replaced' }))
    await signedRaw(cloud, 'DELETE', path)
    const text = (await reading.Body?.transformToString()) ?? ''
    expect([text.length, new Set(text)]).toEqual([1_000_000, new Set('4')])
    await expect.poll(() => readdir(join(directory, 'bodies'))).toEqual([])
    client.destroy()
  })

  test.each(['CopyObject', 'UploadPartCopy'])(
    'what %s made outlives its source, also one that is deleted in the meantime',
    async operation => {
      await using cloud = await startLocalS3({ buckets: [Bucket], directory })
      const client = clientOf(cloud)
      const source = { Bucket, Key: 'source', Body: Readable.from(pieces(40_000_000)) }
      await new Upload({ client, params: source, partSize: 20_000_000 }).done()
      const CopySource = `${Bucket}/source`
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'copy' }))
      const upload = { Bucket, Key: 'copy', UploadId }
      const copying =
        operation === 'CopyObject'
          ? client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource }))
          : client.send(new UploadPartCopyCommand({ ...upload, PartNumber: 1, CopySource }))
      await expect.poll(async () => (await cloud.requests()).at(-1)?.operation, { interval: 1 }).toBe(operation)
      await signedRaw(cloud, 'DELETE', `/${Bucket}/source`)
      const answer = await copying
      if ('CopyPartResult' in answer) {
        const Parts = [{ PartNumber: 1, ETag: answer.CopyPartResult?.ETag }]
        await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }))
      }
      await new Promise(resolve => setTimeout(resolve, 50))
      const copy = await client.send(new GetObjectCommand({ Bucket, Key: 'copy' }))
      // Checked against its checksum by the SDK.
      expect((await copy.Body?.transformToByteArray())?.byteLength).toBe(40_000_000)
      client.destroy()
    },
  )

  test('a log that was cut short by a kill loses only what was not acknowledged; one that is damaged is not opened', async () => {
    const log = join(directory, 'index.jsonl')
    {
      await using cloud = await startLocalS3({ buckets: [Bucket], directory })
      await signedRaw(cloud, 'PUT', `/${Bucket}/a`, 'x')
    }
    const whole = await readFile(log, 'utf8')
    await writeFile(log, `${whole}[["objects own","b",{"eta`)
    {
      await using cloud = await startLocalS3({ directory })
      expect((await signedRaw(cloud, 'GET', `/${Bucket}/a`)).text).toBe('x')
      await signedRaw(cloud, 'PUT', `/${Bucket}/c`, 'x')
    }
    {
      await using cloud = await startLocalS3({ directory })
      expect((await signedRaw(cloud, 'GET', `/${Bucket}/c`)).text).toBe('x')
    }
    await writeFile(log, `${whole}[["objects\n${whole}`)
    expect((await failure(startLocalS3({ directory }))).error).toMatchObject({ code: 'CORRUPT' })
    await writeFile(log, whole.replace('"s3"', '"gcs"'))
    expect((await failure(startLocalS3({ directory }))).error).toMatchObject({ code: 'INVALID' })
  })
})

test('discarding keeps sizes and digests, and answers with zeros', async () => {
  await using cloud = await startLocalS3({ buckets: [Bucket], discard: true })
  const stored = await signedRaw(cloud, 'PUT', `/${Bucket}/zeros`, 'not zeros')
  const answer = await signedRaw(cloud, 'GET', `/${Bucket}/zeros`, undefined, { headers: { range: 'bytes=2-5' } })
  expect([answer.body.toString('hex'), answer.headers['content-range']]).toEqual(['00000000', 'bytes 2-5/9'])
  expect((await signedRaw(cloud, 'HEAD', `/${Bucket}/zeros`)).headers.etag).toBe(stored.headers.etag)
})
