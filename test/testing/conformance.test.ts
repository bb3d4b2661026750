import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { noMemo, type Capabilities, type Provider, type RemoteObject } from '../../src/core/provider.ts'
import { bytesSource, readRange } from '../../src/core/source.ts'
import { memory } from '../../src/providers/memory.ts'
import { testProvider } from '../../src/testing/conformance.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { FaultyRule } from '../../src/testing/faulty/rules.ts'

/** The names of the tests that a provider does not pass, of those that are asked for. */
async function failures(create: () => Provider, of: RegExp): Promise<string[]> {
  const tests: [string, () => Promise<void>][] = []
  testProvider({
    test: (name, run) => of.test(name) && tests.push([name, run]),
    name: 'x',
    create: async () => ({ provider: create() }),
    timeoutMs: 1_000,
    sizes: [300_000],
  })
  const failed: string[] = []
  for (const [name, run] of tests) await run().catch(() => failed.push(name.slice('x: '.length)))
  return failed
}

type Wrong = (inner: Provider) => Partial<Provider>

/** Memory with something wrong. */
function wrong(how: Wrong): () => Provider {
  return () => {
    const inner = memory()
    return { ...inner, ...how(inner) }
  }
}

function withFault(fault: FaultyRule['fault'], on?: FaultyRule['on']): () => Provider {
  const rule = on === undefined ? { fault } : { fault, on }
  return () => faulty(memory(), { rules: [rule] })
}

function claiming(claims: Partial<Capabilities>): Wrong {
  return inner => {
    const capabilities = { ...inner.capabilities, ...claims }
    return { capabilities, learn: async () => capabilities }
  }
}

function changed(object: RemoteObject, change: Partial<RemoteObject>): RemoteObject {
  return { ...object, ...change }
}

const mistakes: readonly (readonly [string, () => Provider, RegExp])[] = [
  ['bodies end early', withFault({ kind: 'short', after: 10 }, 'get'), /bytes come back/],
  ['bodies have a wrong bit', withFault({ kind: 'corrupt', atByte: 3 }, 'get'), /bytes come back/],
  ['puts store nothing', withFault({ kind: 'lie' }, 'put'), /bytes come back/],
  ['deletes delete nothing', withFault({ kind: 'lie' }, 'delete'), /what was deleted is gone/],
  ['attributes are dropped', withFault({ kind: 'strip' }), /headers come back/],
  ['listings are empty', withFault({ kind: 'empty-list' }), /is an object of its own/],
  ['listings end after a page', withFault({ kind: 'short', after: 30 }, 'list'), /many pages/],
  ['everything hangs', withFault({ kind: 'hang' }, 'head'), /not there is undefined/],
  [
    'absence is an error',
    wrong(inner => ({
      head: async (key, signal) => {
        const found = await inner.head(key, signal)
        if (found === undefined) throw new HoldfastError('UNAVAILABLE', 'nothing', { reason: 'SERVER' })
        return found
      },
    })),
    /not there is undefined/,
  ],
  [
    'errors look like absence',
    wrong(inner => ({ get: (request, signal) => inner.get(request, signal).catch(() => undefined) })),
    /range that begins at or past the end/,
  ],
  [
    'create-only is ignored',
    wrong(inner => ({
      put: (request, signal) =>
        inner.put(
          request.condition && 'absent' in request.condition ? { ...request, condition: undefined } : request,
          signal,
        ),
    })),
    /create-only put never replaces/,
  ],
  [
    'create-only is looked up first, not decided at once',
    wrong(inner => ({
      async put(request, signal) {
        if (request.condition === undefined || 'token' in request.condition) return await inner.put(request, signal)
        if ((await inner.head(request.key, signal)) !== undefined)
          throw new HoldfastError('PRECONDITION', 'there', { reason: 'CONDITION' })
        await new Promise(resolve => setTimeout(resolve, 1))
        return await inner.put({ ...request, condition: undefined }, signal)
      },
    })),
    /of creates at the same time exactly one wins/,
  ],
  [
    'replace-if is ignored',
    wrong(inner => ({
      put: (request, signal) =>
        inner.put(
          request.condition && 'token' in request.condition ? { ...request, condition: undefined } : request,
          signal,
        ),
    })),
    /replaces only the object that it names/,
  ],
  [
    'delete-if is ignored',
    wrong(inner => ({ delete: (key, _token, signal) => inner.delete(key, undefined, signal) })),
    /conditional delete deletes only/,
  ],
  [
    'pins are ignored',
    wrong(inner => ({ get: (request, signal) => inner.get({ ...request, token: undefined }, signal) })),
    /pinned read gives only/,
  ],
  ['conditions that are said not to be there pretend', wrong(claiming({ deleteIf: false })), /conditional delete/],
  ['pins that are said not to be there pretend', wrong(claiming({ readIf: false })), /pinned read/],
  ['it says that it signs', wrong(claiming({ sign: true })), /it signs/],
  [
    'tokens are digests, and said to be unique',
    wrong(inner => ({
      put: async (request, signal) => ({ ...(await inner.put(request, signal)), token: request.source.md5 }),
      head: async (key, signal) => {
        const found = await inner.head(key, signal)
        return found && changed(found, { token: found.attested.md5 ?? '' })
      },
    })),
    /have another token/,
  ],
  [
    'attested digests are of something else',
    wrong(inner => ({
      head: async (key, signal) => {
        const found = await inner.head(key, signal)
        return found && changed(found, { attested: { crc32c: '00000000' } })
      },
    })),
    /bytes come back/,
  ],
  [
    'wrong digests are accepted',
    wrong(inner => ({
      async put(request, signal) {
        const { source } = request
        const digests = digestsOf(await readRange(source, 0, source.size))
        return await inner.put({ ...request, source: { ...source, ...digests } }, signal)
      },
    })),
    /not those announced are not stored/,
  ],
  [
    'what came before the source broke is stored',
    wrong(inner => ({
      async put(request, signal) {
        const chunks: Uint8Array[] = []
        try {
          for await (const chunk of request.source.open(0, request.source.size)) chunks.push(chunk)
        } catch {}
        const bytes = Buffer.concat(chunks)
        async function* open(): AsyncIterable<Uint8Array> {
          yield bytes
        }
        const source = { size: bytes.byteLength, ...digestsOf(bytes), open }
        return await inner.put({ ...request, source }, signal)
      },
    })),
    /breaks in the middle stores nothing/,
  ],
  [
    'the error of the source is lost',
    wrong(inner => ({
      put: (request, signal) =>
        inner.put(request, signal).catch((error: unknown) => {
          throw (error as HoldfastError).code === 'CORRUPT'
            ? new HoldfastError('UNAVAILABLE', 'upload failed', { reason: 'NETWORK', cause: error })
            : error
        }),
    })),
    /its own error comes out/,
  ],
  [
    'signals are ignored',
    wrong(inner => ({
      put: request => inner.put(request, new AbortController().signal),
      head: key => inner.head(key, new AbortController().signal),
    })),
    /aborted already stops every call/,
  ],
  [
    'aborts come out as errors of ours',
    wrong(inner => ({
      head: (key, signal) =>
        inner.head(key, signal).catch(() => {
          throw new HoldfastError('UNAVAILABLE', 'aborted', { reason: 'NETWORK' })
        }),
    })),
    /aborted already stops every call/,
  ],
  [
    'bodies go on after the abort',
    wrong(inner => ({ get: request => inner.get(request, new AbortController().signal) })),
    /body stops when the signal/,
  ],
  [
    'listeners stay on the signal',
    wrong(inner => ({
      head(key, signal) {
        signal.addEventListener('abort', () => {})
        return inner.head(key, signal)
      },
    })),
    /let go of the signal/,
  ],
  [
    'chunks are written to',
    wrong(inner => ({
      async put(request, signal) {
        const result = await inner.put(request, signal)
        for await (const chunk of request.source.open(0, request.source.size)) chunk.fill(0)
        return result
      },
    })),
    /chunks are only read/,
  ],
  ['ranges are a byte too long', wrong(inner => ({ get: rangesBy(inner, 1) })), /ranges give what they mean/],
  [
    'metadata is a plain object',
    wrong(inner => ({
      head: async (key, signal) => {
        const found = await inner.head(key, signal)
        return found && changed(found, { metadata: { ...found.metadata } })
      },
    })),
    /metadata comes back exactly/,
  ],
  [
    'metadata is trimmed',
    wrong(inner => ({
      put: (request, signal) => {
        const trimmed = Object.entries(request.metadata).map(([name, value]) => [name, value.trim()])
        return inner.put({ ...request, metadata: Object.fromEntries(trimmed) as Record<string, string> }, signal)
      },
    })),
    /metadata comes back exactly/,
  ],
  ['keys are normalised', wrong(withKeys(key => key.normalize('NFC'))), /object of its own/],
  ['keys lose their case', wrong(withKeys(key => key.toLowerCase())), /object of its own/],
  ['keys are resolved like paths', wrong(withKeys(key => new URL(`x://h/${key}`).pathname)), /object of its own/],
  [
    'listings are in the order of UTF-16',
    wrong(inner => ({
      async *list(request, signal) {
        const all = await Array.fromAsync(inner.list(request, signal))
        const key = (entry: (typeof all)[number]) => (entry.type === 'object' ? entry.key : entry.prefix)
        yield* all.sort((a, b) => (key(a) < key(b) ? -1 : 1))
      },
    })),
    /order of UTF-8 bytes/,
  ],
  [
    'listings begin at the key instead of after it',
    wrong(inner => ({
      async *list(request, signal) {
        const found = request.startAfter === '' ? undefined : await inner.head(request.startAfter, signal)
        if (found !== undefined && found.key.startsWith(request.prefix)) yield { ...found, type: 'object' }
        yield* inner.list(request, signal)
      },
    })),
    /listings can begin|prefix, delimiter and beginning/,
  ],
  [
    'only the last of the given parts is stored',
    wrong(inner => ({
      async put(request, signal) {
        const { source, parts = [] } = request
        const last = parts.length > 1 ? parts.at(-1) : undefined
        if (last === undefined) return await inner.put(request, signal)
        const bytes = await readRange(source, source.size - last.bytes, source.size)
        return await inner.put({ ...request, source: bytesSource(bytes, digestsOf(bytes)) }, signal)
      },
    })),
    /given parts of whatever size/,
  ],
  [
    'it claims to make ETags of parts, and makes them of bytes',
    wrong(() => ({ kind: 's3' })),
    /of those that were given/,
  ],
  [
    'another field is refused than the one that cannot be kept',
    wrong(() => ({ refuseFeatures: () => ({ field: 'features', message: 'has no equal' }) })),
    /refused by its name/,
  ],
  [
    'what may be gone without is refused',
    wrong(inner => ({ refuseFeatures: ({ s3 = {} }) => inner.refuseFeatures?.({ s3 }) })),
    /refused by its name/,
  ],
  [
    'the entry of another object is listed',
    wrong(inner => ({
      async *list(request, signal) {
        for await (const entry of inner.list(request, signal)) yield { ...entry, entry: '1;what;stands;there' }
      },
    })),
    /tells entries/,
  ],
  ['etags are quoted', wrong(etagsAs(etag => `"${etag}"`)), /bytes come back/],
  ['foreign errors are passed on', wrong(() => ({ classify: error => error as HoldfastError })), /error of ours/],
  [
    'errors of ours are wrapped',
    wrong(inner => ({ classify: error => inner.classify(new Error('wrapped', { cause: error })) })),
    /error of ours/,
  ],
  [
    'learning leaves its probe',
    wrong(inner => ({
      async learn(_remembered, signal) {
        const key = `.holdfast/probe/${Math.random()}`
        const source = { size: 0, ...digestsOf(new Uint8Array()), async *open() {} }
        const headers = { contentType: 'text/plain' }
        await inner.put({ key, source, headers, metadata: {}, condition: undefined, upload: noMemo }, signal)
        return inner.capabilities
      },
    })),
    /learning leaves nothing/,
  ],
  ['what nobody can hold is let through', wrong(() => ({ refuseKey: () => undefined })), /no service can hold/],
  [
    'plain keys are refused',
    wrong(() => ({ refuseKey: () => ({ rule: 'length', message: 'no' }) })),
    /no service can hold/,
  ],
]

test('memory passes, with its source in parts too', async () => {
  expect(await failures(() => memory(), /./)).toEqual([])
})

test.each(mistakes)('it notices where %s', async (_name, create, expected) => {
  expect(await failures(create, expected)).not.toEqual([])
})

function rangesBy(inner: Provider, more: number): Provider['get'] {
  return (request, signal) => {
    const { range } = request
    const isOpen = range === undefined || 'last' in range || range.end === undefined
    return inner.get(isOpen ? request : { ...request, range: { ...range, end: (range.end ?? 0) + more } }, signal)
  }
}

/** The provider keeps objects under other keys than it is asked for, and shows those that it was asked for. */
function withKeys(change: (key: string) => string): Wrong {
  return inner => ({
    put: (request, signal) => inner.put({ ...request, key: change(request.key) }, signal),
    head: async (key, signal) => {
      const found = await inner.head(change(key), signal)
      return found && changed(found, { key })
    },
    get: (request, signal) => inner.get({ ...request, key: change(request.key) }, signal),
    delete: (key, token, signal) => inner.delete(change(key), token, signal),
  })
}

function etagsAs(change: (etag: string | undefined) => string): Wrong {
  return inner => ({
    put: async (request, signal) => {
      const result = await inner.put(request, signal)
      return { ...result, etag: change(result.etag) }
    },
  })
}
