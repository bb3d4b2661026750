import { setTimeout as wait } from 'node:timers/promises'
import { unpackMetadata } from '../../src/core/attributes.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { fs } from '../../src/providers/fs.ts'
import { bodyFor } from '../kill/body.ts'
import { checkDirectory } from '../support/directory.ts'
import type { Content, Expected, Snapshot } from './ledger.ts'
import { providersAt } from './places.ts'

/**
 * Opens what a crash left, compares it with what was promised, lets it replicate, and compares what both providers have then. Answers what is
 * wrong, in words: nothing, if all is well.
 */
export async function lostFrom(directory: string, places: string, promised: Snapshot): Promise<readonly string[]> {
  const providers = providersAt(places)
  const [primary, secondary] = providers
  const wrong: string[] = []
  let store: Holdfast
  try {
    store = await openHoldfast({ directory, primary, secondary, holdMs: 0 })
  } catch (error) {
    return [`it does not open: ${String(error)}`]
  }
  try {
    const found = new Map<string, string>()
    for (const [key, expected] of promised.keys) {
      const object = await store.get(key)
      const what = object && nameOf(object.info.metadata['seed'], await object.bytes())
      found.set(key, String(what))
      const isUnfinished = [...promised.uploads.values()].some(each => each.key === key && each.state === 'ending')
      if (!isAllowed(expected, what, isUnfinished))
        wrong.push(`${key} is ${what}, ${String(inWords(expected.acknowledged))} was acknowledged`)
    }
    for (const [key, content] of await finishUploads(store, promised, wrong)) found.set(key, nameOfContent(content))
    await store.drain({ until: 'verified', signal: AbortSignal.timeout(30_000) })
    const patience = AbortSignal.timeout(30_000)
    while ((await store.status()).stage.bytes > 0) {
      patience.throwIfAborted()
      await wait(5)
    }
    for (const provider of providers) wrong.push(...(await differing(provider, found)))
  } catch (error) {
    wrong.push(`it does not work: ${String(error)}`)
  } finally {
    await store.close()
  }
  await checkDirectory(directory, { orphans: 'allowed' }).catch(error => wrong.push(String(error)))
  return wrong
}

/** The same of one provider that was cut off itself. */
export async function lostFromProvider(root: string, promised: Snapshot): Promise<readonly string[]> {
  const provider = fs({ root })
  const wrong: string[] = []
  for (const [key, expected] of promised.keys) {
    const what = await contentAt(provider, key).catch(String)
    if (!isAllowed(expected, what, false))
      wrong.push(`${key} is ${what}, ${String(inWords(expected.acknowledged))} was acknowledged`)
  }
  return wrong
}

/** An upload that was acknowledged is there with its parts; completed, it is the object that it was to be. */
async function finishUploads(store: Holdfast, promised: Snapshot, wrong: string[]): Promise<Map<string, Content>> {
  const finished = new Map<string, Content>()
  for (const [id, { key, content, parts, state }] of promised.uploads) {
    const there = await store.uploads.get(id)
    if (there !== undefined && state === 'ended') wrong.push(`the upload of ${key} ended, and is open`)
    if (there === undefined && state === 'open') wrong.push(`the upload of ${key} is gone`)
    if (there === undefined) continue
    for (const [number, etag] of parts)
      if (there.parts.find(part => part.number === number)?.etag !== etag)
        wrong.push(`part ${number} of ${key} is gone`)
    if (there.parts.length < 3) await store.uploads.abort(id)
    else {
      await store.uploads.complete(id, there.parts)
      finished.set(key, content)
    }
  }
  return finished
}

async function differing(provider: Provider, found: ReadonlyMap<string, string>): Promise<string[]> {
  const wrong: string[] = []
  for (const [key, what] of found) {
    const there = String(await contentAt(provider, key))
    if (there !== what) wrong.push(`${key} is ${what}, and at ${provider.name} ${there}`)
  }
  return wrong
}

async function contentAt(provider: Provider, key: string): Promise<string | undefined> {
  const answer = await provider.get({ key, range: undefined, token: undefined }, AbortSignal.timeout(30_000))
  if (answer === undefined) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
  return nameOf(unpackMetadata(answer.object.metadata)['seed'], Buffer.concat(chunks))
}

function isAllowed({ acknowledged, maybe }: Expected, found: string | undefined, isUnfinished: boolean): boolean {
  const allowed = [acknowledged, ...maybe, ...(isUnfinished ? [undefined] : [])]
  return allowed.some(content => inWords(content) === found)
}

/** Which body it is, by its own bytes. */
function nameOf(seed: string | undefined, bytes: Uint8Array): string {
  const isWhole = seed !== undefined && bodyFor(seed, bytes.byteLength).equals(bytes)
  return isWhole ? nameOfContent({ seed, size: bytes.byteLength }) : `not what it was (${bytes.byteLength} bytes)`
}

const nameOfContent = ({ seed, size }: Content): string => `"${seed}" (${size} bytes)`
const inWords = (content: Content | undefined): string | undefined => content && nameOfContent(content)
