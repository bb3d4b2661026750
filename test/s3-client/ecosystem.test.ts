import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import express, { type NextFunction, type Request, type Response } from 'express'
import { Disk } from 'flydrive'
import { S3Driver } from 'flydrive/drivers/s3'
import multer from 'multer'
import multerS3 from 'multer-s3'
import { describe, expect, test } from 'vitest'
import { Bucket, bytesOf, etagOf, first, last, md5, second } from './multipart-parts.ts'
import { openShop, type Shop } from './multipart-shop.ts'

/** Both clouds have the object by their own word. */
async function expectMirrored(shop: Shop, Key: string, body: Buffer, ETag: string): Promise<void> {
  await shop.store.drain({ until: 'verified' })
  for (const client of [shop.plain, shop.other]) {
    expect((await client.send(new HeadObjectCommand({ Bucket, Key }))).ETag).toBe(ETag)
    expect((await bytesOf(client, Key)).equals(body)).toBe(true)
  }
}

describe('multer-s3, unchanged, on the wrapped client', () => {
  interface Server extends AsyncDisposable {
    readonly url: string
  }

  /** An Express app as its readme has it. */
  async function serve(shop: Shop): Promise<Server> {
    const upload = multer({
      limits: { fileSize: 12 * 1024 ** 2 },
      storage: multerS3({
        s3: shop.client,
        bucket: Bucket,
        contentType: multerS3.AUTO_CONTENT_TYPE,
        metadata: (_request, file, done) => done(null, { field: file.fieldname }),
        key: (_request, file, done) => done(null, `uploads/${file.originalname}`),
      }),
    })
    const app = express()
    app.post('/', upload.single('photo'), (request, response) => void response.json(request.file))
    // Four parameters: that is how Express knows it.
    app.use((error: Error, _request: Request, response: Response, _next: NextFunction) => {
      response.status(400).json({ message: error.message })
    })
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        await new Promise(resolve => server.close(resolve))
      },
    }
  }

  async function post({ url }: Server, name: string, body: Buffer): Promise<{ status: number; file: object }> {
    const form = new FormData()
    form.set('photo', new Blob([new Uint8Array(body)]), name)
    const answer = await fetch(url, { method: 'POST', body: form })
    return { status: answer.status, file: (await answer.json()) as object }
  }

  test('takes small files and such that need parts, with both clouds down', async () => {
    await using shop = await openShop()
    await using server = await serve(shop)
    await shop.down()
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"></svg>')
    const location = `${shop.clouds[0].endpoint}/${Bucket}/uploads`
    expect(await post(server, 'small.svg', svg)).toMatchObject({
      status: 200,
      file: {
        key: 'uploads/small.svg',
        bucket: Bucket,
        size: svg.byteLength,
        etag: `"${md5(svg)}"`,
        contentType: 'image/svg+xml',
        location: `${location}/small.svg`,
        acl: 'private',
        storageClass: 'STANDARD',
      },
    })
    const large = Buffer.concat([first, second, last])
    expect(await post(server, 'large.bin', large)).toMatchObject({
      status: 200,
      file: { etag: etagOf(first, second, last), location: `${location}/large.bin` },
    })
    expect((await bytesOf(shop.client, 'uploads/large.bin')).equals(large)).toBe(true)
    await shop.up()
    await expectMirrored(shop, 'uploads/small.svg', svg, `"${md5(svg)}"`)
    await expectMirrored(shop, 'uploads/large.bin', large, etagOf(first, second, last))
    expect(await shop.other.send(new HeadObjectCommand({ Bucket, Key: 'uploads/small.svg' }))).toMatchObject({
      ContentType: 'image/svg+xml',
      Metadata: expect.objectContaining({ field: 'photo' }),
    })
  })

  test('removes what is over the limit', async () => {
    await using shop = await openShop()
    await using server = await serve(shop)
    const { status, file } = await post(server, 'huge.bin', Buffer.concat([first, second, first]))
    expect({ status, file }).toMatchObject({ status: 400, file: { message: 'File too large' } })
    const left = async () => (await shop.client.send(new ListObjectsV2Command({ Bucket }))).KeyCount
    await expect.poll(left, { timeout: 10_000 }).toBe(0)
    await expect
      .poll(async () => (await shop.client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads, {
        timeout: 10_000,
      })
      .toBeUndefined()
  })
})

describe("flydrive's S3 driver, unchanged, on the wrapped client", () => {
  // With ACLs, copy() asks the bucket for that of the source: not with every cloud down.
  const driverOf = ({ client }: Shop) =>
    new S3Driver({ client, bucket: Bucket, visibility: 'private', supportsACL: false })
  const diskOf = (shop: Shop) => new Disk(driverOf(shop))

  test('does all that a disk does', async () => {
    await using shop = await openShop()
    const disk = diskOf(shop)
    await disk.put('notes/a.txt', 'hello', { cacheControl: 'max-age=1' })
    await disk.putStream('notes/b.bin', Readable.from([last]), { contentLength: last.byteLength })
    expect(await disk.get('notes/a.txt')).toBe('hello')
    expect(await text(await disk.getStream('notes/a.txt'))).toBe('hello')
    expect(Buffer.from(await disk.getBytes('notes/b.bin')).equals(last)).toBe(true)
    expect([await disk.exists('notes/a.txt'), await disk.exists('notes/none')]).toEqual([true, false])
    expect(await disk.getMetaData('notes/a.txt')).toMatchObject({
      contentType: 'text/plain',
      contentLength: 5,
      etag: `"${md5(Buffer.from('hello'))}"`,
      lastModified: expect.any(Date),
    })
    await disk.copy('notes/a.txt', 'copies/a.txt')
    await disk.move('notes/b.bin', 'moved/b.bin')
    expect(await disk.exists('notes/b.bin')).toBe(false)
    expect(Buffer.from(await disk.getBytes('moved/b.bin')).equals(last)).toBe(true)
    const names = async (prefix: string, recursive = false) =>
      [...(await disk.listAll(prefix, { recursive })).objects].map(entry =>
        entry.isFile ? entry.key : `${entry.prefix}/`,
      )
    expect(await names('/')).toEqual(['copies/', 'moved/', 'notes/'])
    expect(await names('/', true)).toEqual(['copies/a.txt', 'moved/b.bin', 'notes/a.txt'])
    expect(await names('copies')).toEqual(['copies/a.txt'])
    const page = await driverOf(shop).listAll('/', { recursive: true, maxResults: 2 })
    const { paginationToken = '' } = page
    const rest = await disk.listAll('/', { recursive: true, paginationToken })
    expect([...rest.objects].map(entry => entry.isFile && entry.key)).toEqual(['notes/a.txt'])
    await expect(disk.get('notes/none')).rejects.toMatchObject({
      code: 'E_CANNOT_READ_FILE',
      cause: { name: 'NoSuchKey' },
    })

    await disk.delete('notes/a.txt')
    await disk.deleteAll('copies/')
    expect(await names('/', true)).toEqual(['moved/b.bin'])
    await expectMirrored(shop, 'moved/b.bin', last, `"${md5(last)}"`)
    for (const client of [shop.plain, shop.other]) {
      const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }))
      expect(Contents?.map(({ Key }) => Key).filter(key => key?.startsWith('.holdfast/') === false)).toEqual([
        'moved/b.bin',
      ])
    }
  })

  test('as it comes, with ACLs, it copies and moves what was just written', async () => {
    await using shop = await openShop()
    const disk = new Disk(new S3Driver({ client: shop.client, bucket: Bucket, visibility: 'private' }))
    await disk.put('a.txt', 'hello')
    expect(await disk.getVisibility('a.txt')).toBe('private')
    await disk.copy('a.txt', 'b.txt')
    await disk.move('b.txt', 'c.txt')
    expect(await disk.get('c.txt')).toBe('hello')
    expect([await disk.exists('a.txt'), await disk.exists('b.txt')]).toEqual([true, false])
    await expectMirrored(shop, 'c.txt', Buffer.from('hello'), `"${md5(Buffer.from('hello'))}"`)
  })

  test('signs URLs for the primary, and writes nothing by it', async () => {
    await using shop = await openShop({ config: { requestChecksumCalculation: 'WHEN_REQUIRED' } })
    const disk = diskOf(shop)
    const upload = await disk.getSignedUploadUrl('signed.txt', { contentType: 'text/plain' })
    expect(new URL(upload).origin).toBe(shop.clouds[0].endpoint)
    expect(await disk.exists('signed.txt')).toBe(false)
    const answer = await fetch(upload, { method: 'PUT', body: 'by url', headers: { 'content-type': 'text/plain' } })
    expect(answer.status).toBe(200)
    await shop.store.adopt('signed.txt')
    await shop.store.drain()
    expect(await disk.get('signed.txt')).toBe('by url')
    expect((await bytesOf(shop.other, 'signed.txt')).toString()).toBe('by url')
    const download = await disk.getSignedUrl('signed.txt', { contentDisposition: 'attachment' })
    const read = await fetch(download)
    expect([await read.text(), read.headers.get('content-disposition')]).toEqual(['by url', 'attachment'])
  })

  test('writes, reads, copies and deletes with both clouds down', async () => {
    await using shop = await openShop()
    const disk = diskOf(shop)
    await shop.down()
    await disk.put('a.txt', 'hello')
    expect(await disk.get('a.txt')).toBe('hello')
    expect(await disk.exists('a.txt')).toBe(true)
    expect((await disk.getMetaData('a.txt')).contentLength).toBe(5)
    await disk.copy('a.txt', 'b.txt')
    await disk.move('a.txt', 'c.txt')
    expect([await disk.get('b.txt'), await disk.get('c.txt')]).toEqual(['hello', 'hello'])
    expect(await disk.exists('a.txt')).toBe(false)
    await disk.delete('b.txt')
    await shop.up()
    await expectMirrored(shop, 'c.txt', Buffer.from('hello'), `"${md5(Buffer.from('hello'))}"`)
    expect(await disk.exists('b.txt')).toBe(false)
  })
})
