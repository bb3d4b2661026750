/**
 * A process that writes to a root, for tests that need several: `node child.ts <root> <what> <count>`. Says one line per thing done.
 */
import { digestsOf } from '../../../src/core/digest.ts'
import { HoldfastError } from '../../../src/core/errors.ts'
import { noMemo, type PutCondition } from '../../../src/core/provider.ts'
import { bytesSource } from '../../../src/core/source.ts'
import { fs } from '../../../src/providers/fs.ts'

const [root = '', what = '', count = '0'] = process.argv.slice(2)
const provider = fs({ root })
const { signal } = new AbortController()

async function put(key: string, body: string, condition?: PutCondition): Promise<string> {
  const bytes = Buffer.from(body)
  const headers = { contentType: 'text/plain' }
  const source = bytesSource(bytes, digestsOf(bytes))
  return (await provider.put({ key, source, headers, metadata: { body }, condition, upload: noMemo }, signal)).token
}

async function unlessLost(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'PRECONDITION') return false
    throw error
  }
}

/** Adds one to the number in `counter`, as often as it takes to do it once. */
async function increment(): Promise<void> {
  for (;;) {
    const found = await provider.get({ key: 'counter', range: undefined, token: undefined }, signal)
    if (found === undefined) {
      if (await unlessLost(put('counter', '1', { absent: true }))) return
      continue
    }
    let text = ''
    for await (const chunk of found.body) text += Buffer.from(chunk).toString()
    if (await unlessLost(put('counter', String(Number(text) + 1), { token: found.object.token }))) return
  }
}

await provider.learn(undefined, signal)
for (let i = 0; i < Number(count); i++) {
  if (what === 'increment') {
    await increment()
    process.stdout.write(`${i}\n`)
  } else if (what === 'create') {
    if (await unlessLost(put(`race/${i}`, String(process.pid), { absent: true }))) process.stdout.write(`${i}\n`)
  } else if (what === 'churn') {
    const key = `deep/${i % 5}/er/${i % 3}`
    await (i % 4 === 3 ? provider.delete(key, undefined, signal) : put(key, `body ${process.pid} ${i}`))
  } else {
    await put(`body/${process.pid}/${i}`, `body ${i}`)
    process.stdout.write(`body/${process.pid}/${i}\n`)
  }
}
