import type { Stretch } from './stretch.ts'

/** So many bytes that are in memory, as a body: see `StoredObject.body`. Of what a body needs that comes from elsewhere this needs nothing. */
export function bodyInMemory(stretch: Stretch, bytes: number, signal: AbortSignal): ReadableStream<Uint8Array> {
  let control: ReadableStreamDefaultController<Uint8Array>
  const abort = (): void => control.error(signal.reason)
  const over = (): void => signal.removeEventListener('abort', abort)
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        control = controller
        if (signal.aborted) abort()
        else if (bytes === 0) controller.close()
        else signal.addEventListener('abort', abort, { once: true })
      },
      async pull(controller) {
        over()
        const { value } = await stretch.next()
        if (value !== undefined) controller.enqueue(value)
        controller.close()
      },
      cancel: over,
    },
    { highWaterMark: 0 },
  )
}
