import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { Readable } from 'node:stream'
import type { ReadableStream, ReadableStreamDefaultReader } from 'node:stream/web'

type SdkBody = NonNullable<GetObjectCommandOutput['Body']>

const READ = 'The stream has already been transformed.'

/**
 * A body as the SDK gives it in Node: a Readable, with the three ways to have it at once. Nothing is read before somebody asks. `destroy` closes
 * the connection. Its errors are what `asError` makes of them.
 */
export function sdkBody(stream: ReadableStream<Uint8Array>, asError: (error: unknown) => unknown): SdkBody {
  return new StoredBody(stream, asError) as unknown as SdkBody
}

/** Over the reader itself: Node's own way from a web stream to a Readable waits for more, for each chunk. */
class StoredBody extends Readable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #asError: (error: unknown) => unknown
  #isTransformed = false

  constructor(stream: ReadableStream<Uint8Array>, asError: (error: unknown) => unknown) {
    super()
    this.#reader = stream.getReader()
    this.#asError = asError
  }

  override _read(): void {
    this.#reader.read().then(
      step => this.push(step.done ? null : step.value),
      error => this.destroy(this.#asError(error) as Error),
    )
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    void this.#cancel(error)
    done(error)
  }

  async transformToByteArray(): Promise<Uint8Array> {
    this.#transform()
    const isUntouched = this.readableFlowing === null && !this.readableDidRead && !this.destroyed
    const chunks = await (isUntouched ? this.#rest() : this.toArray())
    const [only] = chunks
    // A view of a larger buffer would keep all of it, and show its `buffer` to whoever looks.
    if (chunks.length === 1 && only?.byteLength === only?.buffer.byteLength) return plain(only as Uint8Array)
    const whole = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0))
    let at = 0
    for (const chunk of chunks) {
      whole.set(chunk, at)
      at += chunk.byteLength
    }
    return whole
  }

  async transformToString(encoding?: string): Promise<string> {
    const bytes = await this.transformToByteArray()
    if (encoding !== undefined && !Buffer.isEncoding(encoding)) return new TextDecoder(encoding).decode(bytes)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding)
  }

  transformToWebStream(): ReadableStream<Uint8Array> {
    if (this.readableFlowing !== null) throw new Error('The stream has been consumed by other callbacks.')
    this.#transform()
    return Readable.toWeb(this) as ReadableStream<Uint8Array>
  }

  async #cancel(reason: unknown): Promise<void> {
    try {
      await this.#reader.cancel(reason)
    } catch {
      // It failed, or ended, before: there is nothing to let go of.
    }
  }

  /** All of it, past the machinery of a stream, which then ends as one that was read. */
  async #rest(): Promise<Uint8Array[]> {
    const chunks: Uint8Array[] = []
    try {
      for (let step = await this.#reader.read(); !step.done; step = await this.#reader.read()) chunks.push(step.value)
    } catch (error) {
      const known = this.#asError(error) as Error
      // Whoever waits for the bytes hears of it; an event that nobody listens to would end the process.
      this.on('error', () => {})
      this.destroy(known)
      throw known
    }
    this.resume()
    return chunks
  }

  #transform(): void {
    if (this.#isTransformed) throw new Error(READ)
    this.#isTransformed = true
  }
}

function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
