/**
 * Photos go from the browser straight to a cloud, also while the primary is down: `GET /` is the page, `POST /uploads` answers where to upload to,
 * `POST /uploads/<id>` takes in what was uploaded. The page's origin has to be allowed by the CORS settings of both buckets: the method PUT, the
 * headers content-type, if-none-match and x-goog-if-generation-match.
 */
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { HoldfastError } from 'holdfast'
import { openStore } from './store.ts'

const store = await openStore()
const app = express()
app.use(express.json())

app.get('/', (_request, response) => {
  response.sendFile(fileURLToPath(new URL('browser-upload.html', import.meta.url)))
})

app.post('/uploads', async (request, response) => {
  // Again with the same id where the browser could not reach a provider: the store may not know yet that it is down.
  const { id = randomUUID(), type, except } = request.body
  const signed = await store.signedUrl(`uploads/${id}`, {
    method: 'PUT',
    expiresInSeconds: 600,
    contentType: type,
    except,
  })
  response.json({ id, ...signed })
})

app.post('/uploads/:id', async (request, response) => {
  const receipt = await store.adopt(`uploads/${request.params.id}`, { from: request.body.provider })
  response.status(201).json({ key: receipt.key, size: receipt.size, etag: receipt.etag })
})

app.use((error: unknown, _request: express.Request, response: express.Response, next: express.NextFunction) => {
  if (!(error instanceof HoldfastError)) {
    next(error)
    return
  }
  response.status(error.code === 'INVALID' ? 400 : 503).json({ code: error.code, message: error.message })
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
  server.closeIdleConnections()
})
