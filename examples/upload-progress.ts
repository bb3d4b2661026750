/** Uploads a file in parts with lib-storage and shows how far it is: `node examples/upload-progress.ts FILE`. */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { Upload } from '@aws-sdk/lib-storage'
import { withHoldfast } from 'holdfast/s3-client'
import { bucket, openClient, openStore } from './store.ts'

const [file] = process.argv.slice(2)
if (file === undefined) {
  console.error('usage: node examples/upload-progress.ts FILE')
  process.exit(2)
}

await using store = await openStore()
const client = withHoldfast(openClient(), { [bucket]: store })

const upload = new Upload({
  client,
  params: { Bucket: bucket, Key: basename(file), Body: createReadStream(file) },
  partSize: 8 * 1024 * 1024,
})
upload.on('httpUploadProgress', ({ part, loaded }) => {
  console.log(`part ${part}: ${loaded} bytes are safe`)
})
const { ETag } = await upload.done()
console.log(`acknowledged: ${basename(file)}, ETag ${ETag}`)

await store.drain()
console.log('on both clouds')
