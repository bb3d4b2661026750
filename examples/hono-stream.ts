/** The same with web streams, as Hono, Next.js route handlers and other fetch-style frameworks have them. */
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { openStore } from './store.ts'

const store = await openStore()
const app = new Hono()

app.put('/photos/:name', async context => {
  const { body, headers } = context.req.raw
  const contentType = headers.get('content-type')
  const receipt = await store.put(context.req.param('name'), body ?? '', contentType === null ? {} : { contentType })
  return context.json({ version: receipt.version, size: receipt.size }, 201)
})

app.get('/photos/:name', async context => {
  // When the client goes away, so does the connection to the cloud.
  const photo = await store.get(context.req.param('name'), { signal: context.req.raw.signal })
  if (photo === undefined) return context.notFound()
  return new Response(photo.body, {
    headers: {
      'content-type': photo.info.contentType,
      'content-length': String(photo.info.size),
      etag: `"${photo.info.etag}"`,
    },
  })
})

const server = serve(
  { fetch: app.fetch, port: Number(process.env['PORT'] ?? 3000), hostname: '127.0.0.1' },
  ({ port }) => {
    console.log(`listening on ${port}`)
  },
)
process.once('SIGTERM', () => {
  server.close(() => {
    store.close({ drainMs: 10_000 }).then(
      () => process.exit(0),
      () => process.exit(1),
    )
  })
})
