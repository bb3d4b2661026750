import { openHoldfast } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'

/**
 * Another process of the same directory, which only accepts: does what its parent asks, one call after the other, and answers each. It ends with
 * its parent.
 */
export type Asked =
  | { readonly call: 'create'; readonly key: string }
  | { readonly call: 'putPart'; readonly id: string; readonly number: number; readonly body: string }
  | { readonly call: 'complete'; readonly id: string; readonly numbers: readonly number[] }
  | { readonly call: 'numbers' | 'abort'; readonly id: string }

const [directory = ''] = process.argv.slice(2)
process.on('disconnect', () => process.exit(0))

const store = await openHoldfast({
  directory,
  primary: memory({ name: 'a' }),
  secondary: memory({ name: 'b' }),
  replication: { run: 'external' },
})

async function answer(asked: Asked): Promise<unknown> {
  switch (asked.call) {
    case 'create':
      return (await store.uploads.create(asked.key)).id
    case 'putPart':
      return (await store.uploads.putPart(asked.id, asked.number, asked.body)).etag
    case 'complete':
      return (
        await store.uploads.complete(
          asked.id,
          asked.numbers.map(number => ({ number })),
        )
      ).etag
    case 'numbers':
      return (await store.uploads.get(asked.id))?.parts.map(({ number }) => number)
    case 'abort':
      return store.uploads.abort(asked.id)
  }
}

process.on('message', (asked: Asked) => {
  answer(asked).then(
    value => process.send?.({ value }),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
process.send?.({ value: 'ready' })
