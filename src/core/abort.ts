/**
 * The same items, until the signal aborts: then the step that is waited for rejects at once with the signal's reason. The inner
 * iterator is told to return, and not waited for, since one that hangs never answers.
 */
export function untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const inner = items[Symbol.asyncIterator]()
      return {
        async next() {
          if (!signal.aborted) return await unlessAborted(inner.next(), signal, () => leave(inner))
          leave(inner)
          throw signal.reason
        },
        async return() {
          await inner.return?.()
          return { done: true, value: undefined }
        },
      }
    },
  }
}

/** Settles as the promise does, or rejects with the signal's reason as soon as it aborts; what comes of the promise then is dropped. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, onAbort: () => void = () => {}): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason)
      onAbort()
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    promise.then(
      value => {
        signal.removeEventListener('abort', abort)
        resolve(value)
      },
      error => {
        signal.removeEventListener('abort', abort)
        reject(error)
      },
    )
  })
}

function leave(iterator: AsyncIterator<unknown>): void {
  iterator.return?.().catch(() => {})
}
