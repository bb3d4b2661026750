/** Puts a file, reads it back, says where it is: `node examples/plain.ts FILE`. */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { openStore } from './store.ts'

const [file] = process.argv.slice(2)
if (file === undefined) {
  console.error('usage: node examples/plain.ts FILE')
  process.exit(2)
}

await using store = await openStore()
const receipt = await store.put(basename(file), createReadStream(file), { metadata: { from: 'plain.ts' } })
console.log(`acknowledged: ${receipt.key}, ${receipt.size} bytes, version ${receipt.version}`)

const found = await store.get(receipt.key)
console.log(`read back from ${found?.from}: ${(await found?.bytes())?.byteLength} bytes`)

await receipt.replicated()
console.log('on both clouds')
