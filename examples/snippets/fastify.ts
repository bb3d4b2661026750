/** Form uploads with Fastify, streamed: `POST /photos` with one file. */
import { randomUUID } from 'node:crypto'
import multipart, { type MultipartFile } from '@fastify/multipart'
import fastify from 'fastify'
import { HoldfastError } from 'holdfast'
import { openStore } from '../store.ts'

const store = await openStore()
const app = fastify()
await app.register(multipart, { limits: { fileSize: Number(process.env['LIMIT'] ?? 1_000_000_000) } })
app.addHook('onClose', () => store.close({ drainMs: 10_000 }))

app.post('/photos', async (request, reply) => {
  const photo = await request.file()
  if (photo === undefined) return reply.code(400).send({ message: 'a file is missing' })
  const receipt = await store.put(randomUUID(), whole(photo), {
    contentType: photo.mimetype,
    metadata: { name: photo.filename },
  })
  return reply.code(201).send({ key: receipt.key, size: receipt.size, etag: receipt.etag })
})

/** At the size limit the stream of a file just ends: without this, half a photo would be stored as a whole one. */
async function* whole({ file }: MultipartFile): AsyncIterable<Uint8Array> {
  yield* file
  if (file.truncated) throw new app.multipartErrors.RequestFileTooLargeError()
}

/** What went wrong while the form was read is answered as Fastify does. */
app.setErrorHandler(error => {
  throw error instanceof HoldfastError && error.rule === 'source' ? error.cause : error
})

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`listening on ${new URL(url).port}`)
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)))
