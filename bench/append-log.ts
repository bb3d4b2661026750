import { type FileHandle, open } from 'node:fs/promises'

/**
 * The least that a durable write can be: bytes appended to one file, and one `fdatasync` shared by all that were appended before it began. No name, no digest, no index:
 * what Holdfast's put is compared with.
 */
export async function openAppendLog(path: string): Promise<AppendLog> {
  const file = await open(path, 'a')
  let waiting: Pending[] = []
  let busy = false

  async function drain(): Promise<void> {
    busy = true
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await writeAll(
          file,
          batch.map(({ bytes }) => bytes),
        )
        await file.datasync()
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    busy = false
  }

  return {
    append: bytes =>
      new Promise((resolve, reject) => {
        waiting.push({ bytes, resolve, reject })
        // All that are appended in this turn share the first sync too.
        if (!busy) {
          busy = true
          queueMicrotask(() => void drain())
        }
      }),
    close: () => file.close(),
  }
}

export interface AppendLog {
  /** Resolves when the bytes would survive a power cut. */
  append(bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

interface Pending {
  readonly bytes: Uint8Array
  resolve(): void
  reject(reason: unknown): void
}

async function writeAll(file: FileHandle, pieces: readonly Uint8Array[]): Promise<void> {
  const { bytesWritten } = await file.writev(pieces as Uint8Array[])
  const all = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0)
  if (bytesWritten !== all) throw new Error(`the disk took ${bytesWritten} of ${all} bytes`)
}
