import { type Holdfast, HoldfastError, type HoldfastOptions, openHoldfast, type Provider } from 'holdfast'
import { fs } from 'holdfast/fs'
import { memory } from 'holdfast/memory'

const primary: Provider = fs({ root: '/srv/primary' })
const options: HoldfastOptions = { directory: '/srv/store', primary, secondary: memory() }

export async function upload(name: string, body: ReadableStream<Uint8Array>): Promise<string> {
  await using store: Holdfast = await openHoldfast(options)
  store.on('provider', change => change)
  try {
    const { version } = await store.put(name, body, { contentType: 'image/png', ack: 'one' })
    const found = await store.get(name, { range: { start: 0, end: 10 } })
    return `${version} ${await found?.text()}`
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'NO_SPACE') return 'later'
    throw error
  }
}
