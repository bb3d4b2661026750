import type { StoredObject } from '../../read/types.ts'
import type { Receipt } from '../receipt.ts'
import { keyed, told } from './names.ts'

/** Of the key, with errors of the key. */
export function receiptOf<R extends Receipt>(receipt: R): R {
  return { ...keyed(receipt), replicated: options => told(receipt.replicated(options)) }
}

/** The same. Where key and name are one, nothing is wrapped. */
export function objectOf(object: StoredObject | undefined): StoredObject | undefined {
  if (object === undefined) return undefined
  const info = keyed(object.info)
  if (info.key === object.info.key) return object
  return {
    ...object,
    info,
    body: bodyOf(object.body),
    text: () => told(object.text()),
    bytes: () => told(object.bytes()),
  }
}

/** The same body; reads nothing before it is read, so that `text` and `bytes` may take it instead. */
function bodyOf(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(control) {
        reader ??= body.getReader()
        const step = await told(reader.read())
        if (step.done) control.close()
        else control.enqueue(step.value)
      },
      cancel: reason => (reader === undefined ? body.cancel(reason) : reader.cancel(reason)),
    },
    { highWaterMark: 0 },
  )
}
