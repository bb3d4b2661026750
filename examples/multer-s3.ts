/** Uploads of forms with Express and multer-s3: `POST /photos` with a field `photo`, `GET /photos/<key>`. Only the client is another one than before. */
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { GetObjectCommand, NoSuchKey } from '@aws-sdk/client-s3'
import express from 'express'
import { withHoldfast } from 'holdfast/s3-client'
import multer from 'multer'
import multerS3 from 'multer-s3'
import { bucket, openClient, openStore } from './store.ts'

const store = await openStore()
const s3 = withHoldfast(openClient(), { [bucket]: store })

const upload = multer({
  storage: multerS3({
    s3,
    bucket,
    contentType: (_request, file, done) => done(null, file.mimetype),
    key: (_request, file, done) => done(null, `${Date.now()}-${file.originalname}`),
  }),
  limits: { fileSize: 1_000_000_000 },
})

const app = express()

app.post('/photos', upload.single('photo'), (request, response) => {
  const { key, etag, size } = request.file as Express.MulterS3.File
  response.status(201).json({ key, etag, size })
})

app.get('/photos/:key', async (request, response) => {
  try {
    const found = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: request.params.key }))
    response.type(found.ContentType ?? 'application/octet-stream').set('etag', found.ETag)
    await pipeline(found.Body as Readable, response)
  } catch (error) {
    if (!(error instanceof NoSuchKey)) throw error
    response.sendStatus(404)
  }
})

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  const address = server.address()
  console.log(`listening on ${typeof address === 'object' ? address?.port : address}`)
})
process.once('SIGTERM', () => {
  server.close(() => {
    store.close({ drainMs: 10_000 }).then(
      () => process.exit(0),
      () => process.exit(1),
    )
  })
})
