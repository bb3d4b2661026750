/** flydrive's S3 driver on a wrapped client. */
import { Disk } from 'flydrive'
import { S3Driver } from 'flydrive/drivers/s3'
import { withHoldfast } from 'holdfast/s3-client'
import { bucket, openClient, openStore } from '../store.ts'

await using store = await openStore()
const disk = new Disk(
  new S3Driver({
    client: withHoldfast(openClient(), { [bucket]: store }),
    bucket,
    visibility: 'private',
    // With ACLs, copy() asks the bucket for that of its source: not while it is down. setVisibility() is refused.
    supportsACL: false,
  }),
)

await disk.put('notes/today.txt', 'Remember the milk.')
await disk.copy('notes/today.txt', 'notes/kept.txt')
console.log(await disk.get('notes/kept.txt'))
console.log(await disk.getMetaData('notes/today.txt'))
await disk.delete('notes/today.txt')
const { objects } = await disk.listAll('notes/')
console.log([...objects].map(({ name }) => name))
