/** These bytes as a body: see `StoredObject.body`. Of what a body needs that comes from elsewhere this needs nothing. */
export function bodyInMemory(bytes: Uint8Array, signal: AbortSignal): ReadableStream<Uint8Array> {
  let control: ReadableStreamDefaultController<Uint8Array>
  const abort = (): void => control.error(signal.reason)
  const over = (): void => signal.removeEventListener('abort', abort)
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        control = controller
        if (signal.aborted) abort()
        else if (bytes.byteLength === 0) controller.close()
        else signal.addEventListener('abort', abort, { once: true })
      },
      pull(controller) {
        over()
        controller.enqueue(bytes)
        controller.close()
      },
      cancel: over,
    },
    { highWaterMark: 0 },
  )
}
