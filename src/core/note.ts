import type { Provider, RemoteObject } from './provider.ts'

/** One of the small JSON objects that Holdfast keeps under `.holdfast/`, as a provider has it. */
export interface Note {
  readonly object: RemoteObject
  /** `undefined`: it is larger than any of ours, or no JSON. */
  readonly value: unknown
}

/** Reads one. `undefined`: the provider proved that there is none. `mostBytes`: what is larger is not read. One `get`. */
export async function readNote(
  provider: Provider,
  key: string,
  mostBytes: number,
  signal: AbortSignal,
): Promise<Note | undefined> {
  const answer = await provider.get({ key, range: undefined, token: undefined }, signal)
  if (answer === undefined) return undefined
  const { object } = answer
  if (object.size > mostBytes) {
    await answer.close()
    return { object, value: undefined }
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
  return { object, value: parsed(Buffer.concat(chunks).toString('utf8')) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
