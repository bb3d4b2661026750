/** Uploads and downloads with Express: `PUT /photos/cat.jpg`, `GET /photos/cat.jpg` (ranges too), `DELETE /photos/cat.jpg`, `GET /status`. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import express from 'express'
import { HoldfastError } from 'holdfast'
import { openStore } from './store.ts'

const store = await openStore()
const app = express()

app.put('/photos/:name', async (request, response) => {
  const contentType = request.headers['content-type']
  const length = request.headers['content-length']
  // The body is streamed; it is never whole in memory. An upload that breaks off stores nothing.
  const receipt = await store.put(request.params.name, request, {
    ...(contentType === undefined ? {} : { contentType }),
    ...(length === undefined ? {} : { expect: { size: Number(length) } }),
  })
  response.status(201).json({ version: receipt.version, size: receipt.size })
})

app.get('/photos/:name', async (request, response) => {
  const wanted = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const range =
    wanted === null ? undefined : { start: Number(wanted[1]), ...(wanted[2] ? { end: Number(wanted[2]) + 1 } : {}) }
  const photo = await store.get(request.params.name, range === undefined ? {} : { range })
  if (photo === undefined) {
    response.sendStatus(404)
    return
  }
  response.type(photo.info.contentType).set('etag', `"${photo.info.etag}"`)
  if (photo.range !== undefined) {
    const { start, end } = photo.range
    response.status(206).set('content-range', `bytes ${start}-${end - 1}/${photo.info.size}`)
  }
  await pipeline(Readable.fromWeb(photo.body), response)
})

app.delete('/photos/:name', async (request, response) => {
  await store.delete(request.params.name)
  response.sendStatus(204)
})

app.get('/status', async (_request, response) => {
  response.json(await store.status())
})

/** What each error asks of the client. */
const statusOf: Readonly<Record<string, number>> = { INVALID: 400, CHECKSUM: 400, PRECONDITION: 412, NO_SPACE: 507 }
app.use((error: unknown, _request: express.Request, response: express.Response, next: express.NextFunction) => {
  if (response.headersSent || !(error instanceof HoldfastError)) {
    next(error)
    return
  }
  response.status(statusOf[error.code] ?? 503).json({ code: error.code, field: error.field, message: error.message })
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
