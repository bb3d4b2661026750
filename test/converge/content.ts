import { recognise } from '../../src/core/entry.ts'
import type { Provider, RemoteObject } from '../../src/core/provider.ts'
import type { Asked } from './history.ts'

/** What a service has under a key. */
export interface Content {
  readonly version: string
  readonly body: string
  readonly headers: RemoteObject['headers']
  readonly metadata: RemoteObject['metadata']
}

export async function contentOf(service: Provider, key: string): Promise<Content | undefined> {
  const signal = new AbortController().signal
  const answer = await service.get({ key, range: undefined, token: undefined }, signal)
  if (answer === undefined) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(chunk)
  const { headers, metadata } = answer.object
  return { version: recognise(answer.object).version, body: Buffer.concat(chunks).toString(), headers, metadata }
}

/** Whether that is what was asked for; nothing, where that was a delete. */
export function isSame(found: Content | undefined, asked: Asked | undefined): boolean {
  if (found === undefined) return asked?.body === undefined
  if (asked?.body === undefined) return false
  const { holdfast: _ours, ...metadata } = found.metadata
  return (
    (asked.version === undefined || asked.version === found.version) &&
    asked.body === found.body &&
    found.headers.contentType === asked.contentType &&
    JSON.stringify(metadata) === JSON.stringify(asked.metadata)
  )
}
