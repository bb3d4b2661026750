/** Uploads that can be resumed, with tus: collected in files, then moved into the store as `tus/<id>`. */
import { createReadStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import { openStore } from '../store.ts'

const store = await openStore()
const directory = process.env['UPLOADS'] ?? '/var/lib/photos-uploads'
await mkdir(directory, { recursive: true })
const files = new FileStore({ directory })
const moving = new Map<string, Promise<void>>()

/** The file goes when the object is safe, not before. Asked twice at a time, it is done once. */
function moveIn(id: string): Promise<void> {
  const running = moving.get(id) ?? move(id).finally(() => moving.delete(id))
  moving.set(id, running)
  return running
}

async function move(id: string): Promise<void> {
  const { size, metadata } = await files.getUpload(id)
  await store.put(`tus/${id}`, createReadStream(join(directory, id)), {
    contentType: metadata?.['filetype'] ?? 'application/octet-stream',
    ...(size === undefined ? {} : { expect: { size } }),
  })
  await files.remove(id)
}

/**
 * A client whose last request failed asks how much is there, hears "all of it", and is content. So what could not be moved then (a full disk, a
 * process that ended) is moved later: at the start, and every minute.
 */
async function sweep(): Promise<void> {
  for (const id of (await files.configstore.list?.()) ?? []) {
    try {
      const { size, offset } = await files.getUpload(id)
      if (size === offset) await moveIn(id)
    } catch (error) {
      console.error(`upload ${id} stays where it is:`, error)
    }
  }
}

const tus = new Server({
  path: '/files',
  datastore: files,
  async onUploadFinish(_request, { id }) {
    await moveIn(id)
    return {}
  },
})

await sweep()
setInterval(() => void sweep(), 60_000).unref()
const server = createServer((request, response) => void tus.handle(request, response))
server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
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
