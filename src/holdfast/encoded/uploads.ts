import { namePrefixes } from '../../core/encode.ts'
import { compareKeys } from '../../core/key.ts'
import type { Uploads } from '../uploads.ts'
import { checkPrefix } from '../uploads/check.ts'
import { receiptOf } from './answers.ts'
import { keyed, nameOf, told, withSignal } from './names.ts'

/** Uploads of keys, over uploads of names. Ids are the same. */
export function encodedUploads(inner: Uploads): Uploads {
  return {
    create: async (key, options) => keyed(await told(inner.create(nameOf(key), options))),
    putPart: (id, number, body, options) => told(inner.putPart(id, number, body, options)),
    async get(id, options) {
      const upload = await told(inner.get(id, options))
      return upload && keyed(upload)
    },
    async list(options) {
      const { prefix, signal } = checkPrefix(options)
      const call = withSignal(signal)
      const ranges = await told(Promise.all(namePrefixes(prefix).map(range => inner.list({ prefix: range, ...call }))))
      const uploads = ranges.flat().map(keyed)
      return uploads
        .filter(({ key }) => key.startsWith(prefix))
        .toSorted((a, b) => compareKeys(a.key, b.key) || a.createdAt.getTime() - b.createdAt.getTime())
    },
    complete: async (id, parts, options) => receiptOf(await told(inner.complete(id, parts, options))),
    abort: (id, options) => told(inner.abort(id, options)),
  }
}
