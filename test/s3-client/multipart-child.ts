import { S3Client } from '@aws-sdk/client-s3'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { withHoldfast } from '../../src/s3-client/index.ts'
import { begin, Bucket, first, providerOf, sendParts } from './multipart-parts.ts'

/**
 * A process that begins an upload, sends two parts, says so, and then waits to be killed. Started with the directory of its store, and two
 * addresses where no cloud is.
 */
const [directory = '', one = '', two = ''] = process.argv.slice(2)
const nobody = (endpoint: string) => ({ endpoint, credentials: { id: 'x', secret: 'y' } })
const store = await openHoldfast({
  directory,
  primary: providerOf(nobody(one), 'one'),
  secondary: providerOf(nobody(two), 'two'),
})
const client = withHoldfast(new S3Client({ region: 'us-east-1', endpoint: one }), { [Bucket]: store })
const body = Buffer.alloc(first.byteLength, 'the same in both processes ')
const id = await begin(client, 'crashed', { Metadata: { life: 'one' } })
await sendParts(client, 'crashed', id, [body, Buffer.from('the end')])
process.stdout.write(`${id}\n`)
setInterval(() => {}, 1_000)
