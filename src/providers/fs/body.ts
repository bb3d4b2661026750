import type { ErrorDetails } from '../../core/errors.ts'
import type { RemoteBody } from '../../core/provider.ts'
import type { ErrorMaker } from '../errors.ts'
import type { Calls } from './calls.ts'
import type { OpenFile } from './tree.ts'

export interface Reader {
  readonly calls: Calls
  readonly errors: ErrorMaker
  /** Does the call, and rejects with an error of ours, or the reason of the signal. */
  told<T>(signal: AbortSignal, details: ErrorDetails, call: () => Promise<T>): Promise<T>
}

const chunkBytes = 262_144

/** The bytes `start <= byte < end` of an object, from a file that is closed when they end or nobody wants them any more. */
export function bodyOf(
  { calls, errors, told }: Reader,
  { handle, record, bodyStart }: OpenFile,
  { start, end }: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): Pick<RemoteBody, 'body' | 'close'> {
  const about = { key: record.key }
  let closing: Promise<void> | undefined

  function close(): Promise<void> {
    signal.removeEventListener('abort', drop)
    closing ??= calls.run(() => handle.close())
    return closing
  }

  function drop(): void {
    close().catch(() => {})
  }

  async function* read(): AsyncGenerator<Uint8Array, void> {
    try {
      for (let at = start; at < end; ) {
        const bytes = new Uint8Array(Math.min(chunkBytes, end - at))
        const position = bodyStart + at
        const { bytesRead } = await told(signal, about, () =>
          calls.run(() => handle.read(bytes, 0, bytes.byteLength, position), signal),
        )
        if (bytesRead === 0) throw errors.because('CHECKSUM', 'MISMATCH', `the file ends after ${at} bytes`, about)
        yield bytes.subarray(0, bytesRead)
        at += bytesRead
      }
      signal.throwIfAborted()
    } finally {
      drop()
    }
  }

  signal.addEventListener('abort', drop, { once: true })
  if (signal.aborted) drop()
  return { body: read(), close }
}
