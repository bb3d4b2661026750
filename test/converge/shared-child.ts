import { openHoldfast } from '../../src/holdfast/open.ts'
import { fs } from '../../src/providers/fs.ts'

/** A second process on a directory: puts or deletes what its parent asks for, and tells when the promise resolved. */
export type Order = { readonly put: string; readonly body: string } | { readonly delete: string }

/** Two directories that stand for clouds. */
export function twoPlaces(root: string) {
  return { primary: fs({ root: `${root}/a`, name: 'a' }), secondary: fs({ root: `${root}/b`, name: 'b' }) }
}

const [directory, root] = process.argv.slice(2)
if (process.send !== undefined && process.argv[1] === import.meta.filename && directory !== undefined) {
  const store = await openHoldfast({ directory, ...twoPlaces(root ?? ''), holdMs: 0 })
  const obey = async (order: Order) => {
    const { version } = 'put' in order ? await store.put(order.put, order.body) : await store.delete(order.delete)
    process.send?.(version)
  }
  process.on('message', (order: Order) => void obey(order))
  process.on('disconnect', () => void store.close())
  process.send('ready')
}
