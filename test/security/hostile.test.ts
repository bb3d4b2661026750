import { describe, expect, onTestFinished, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider, RemoteBody, RemoteEntry, RemoteObject } from '../../src/core/provider.ts'
import { guardProvider } from '../../src/core/guarded.ts'
import { systemClock } from '../../src/core/system.ts'
import { all, type Answer, everything, putOf, type Recorder, startRecorder, whole } from '../providers/s3-recorder.ts'
import { canaries } from './canary.ts'
import { type Described, type Listed, type Service, services } from './services.ts'

// A provider that lies in every field of its answers: nothing that makes no sense comes out of a driver, nothing is touched that is not
// the answer, and no answer takes the process with it.

const secrets = canaries()
const signal = AbortSignal.timeout(600_000)

async function playing(service: Service, answer: Answer, prefix?: string): Promise<[Provider, Recorder]> {
  const recorder = await startRecorder(answer)
  onTestFinished(() => recorder[Symbol.asyncDispose]())
  return [await service.provider(recorder.endpoint, secrets, prefix), recorder]
}

/** What it answered, or the error; an error that is none of ours fails the test. */
async function answered<T>(asked: Promise<T>): Promise<T | HoldfastError> {
  return await asked.catch((error: unknown) => {
    expect(error).toBeInstanceOf(HoldfastError)
    expect((error as Error).message.length).toBeLessThan(1500)
    expect((error as Error).message).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u)
    return error as HoldfastError
  })
}

function expectSound({
  size,
  modifiedAt,
  token,
}: Pick<RemoteObject, 'size' | 'modifiedAt'> & { token?: string | undefined }): void {
  expect(Number.isSafeInteger(size) && size >= 0, `size ${size}`).toBe(true)
  expect(modifiedAt.getTime(), 'date').not.toBeNaN()
  if (token !== undefined) expect(typeof token).toBe('string')
}

function expectSoundEntries(entries: readonly RemoteEntry[], prefix: string): void {
  for (const entry of entries) {
    const name = entry.type === 'object' ? entry.key : entry.prefix
    expect(typeof name).toBe('string')
    expect(name.startsWith(prefix), `${name} is outside of ${prefix}`).toBe(true)
    expect(name).not.toBe('')
    if (entry.type === 'object') expectSound(entry)
  }
}

const names = Object.getOwnPropertyNames
const prototypes = [Object.prototype, Array.prototype, String.prototype, Function.prototype, Error.prototype]
function expectPrototypesAsTheyWere(): void {
  expect(prototypes.flatMap(each => names(each)).filter(name => /polluted|canary/i.test(name))).toEqual([])
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  expect(names(Object.prototype).toSorted()).toEqual(asMade)
}
const asMade = names(Object.prototype).toSorted()

/** Sizes as text of the wire: in JSON Google's are strings, so numbers and structures are tried as well. */
const sizes = [
  '-1',
  '1.5',
  'NaN',
  'Infinity',
  '1e3',
  '0x10',
  '',
  ' ',
  '9007199254740993',
  '99999999999999999999',
  '1 2',
  'null',
]
const dates = [
  '',
  'yesterday',
  '0',
  '-1',
  'Sat, 99 Nov 2026 10:00:00 GMT',
  '9999999-01-01T00:00:00Z',
  '2026-13-45T99:99:99Z',
  'NaN',
]

describe.each(services.map(service => [service.name, service] as const))('a hostile %s', (name, service) => {
  const sizeOf = (text: string) => (name === 'gcs' ? JSON.stringify(text) : text)

  test('lists sizes, dates and ETags that make no sense: refused, or sound (X5, I45)', async () => {
    const wrong: Listed[] = [
      ...sizes.map(size => ({ key: 'k', size: sizeOf(size) })),
      ...(name === 'gcs' ? ['-1', '1', 'null', '{}', '[]', 'true', '1e999'].map(size => ({ key: 'k', size })) : []),
      ...dates.map(modified => ({ key: 'k', modified })),
      ...['', '""', 'x'.repeat(1_000_000)].map(etag => ({ key: 'k', etag })),
    ]
    const [provider, recorder] = await playing(service, service.page([]))
    let refused = 0
    for (const entry of wrong) {
      recorder.answer = service.page([entry])
      const found = await answered(all(provider.list(everything, signal)))
      if (found instanceof HoldfastError) refused++
      else expectSoundEntries(found, '')
    }
    expect(refused).toBeGreaterThan(sizes.length / 2)
  })

  test('lists what is not under the prefix: refused, also where a prefix is the wall of a tenant (X2, I16, I44)', async () => {
    const [provider, recorder] = await playing(service, service.page([]))
    const tenant = await service.provider(recorder.endpoint, secrets, 'tenants/anna/')
    const outside = [
      'a',
      'tenants',
      'tenants/',
      'tenants/anna',
      'tenants/ann',
      'tenants/annb/x',
      'zebra',
      '../x',
      'tenants/anna/../bob/x',
    ]
    let passed = 0
    for (const key of outside) {
      for (const answer of [service.page([{ key }]), service.page([], { prefixes: [key] })]) {
        recorder.answer = answer
        const isInside = key.startsWith('tenants/anna/')
        for (const [asked, prefix] of [
          [provider.list({ ...everything, prefix: 'tenants/anna/' }, signal), 'tenants/anna/'],
          [provider.list({ ...everything, prefix: 'tenants/anna/', delimiter: '/' }, signal), 'tenants/anna/'],
          [tenant.list(everything, signal), ''],
          [tenant.list({ ...everything, delimiter: '/' }, signal), ''],
        ] as const) {
          const found = await answered(all(asked))
          if (found instanceof HoldfastError) expect(found.reason, key).toMatch(/PROTOCOL|NOT_PROVIDER/)
          else {
            expectSoundEntries(found, prefix)
            // What is named `../bob/x` behind the wall is a key like any other: it is never made a path.
            expect(isInside || found.length === 0, `${key} came through`).toBe(true)
            passed++
          }
        }
      }
    }
    expect(passed).toBeGreaterThan(0)
  })

  test('lists hostile keys: as they are, or refused, and never as the property of anything (X2, X5, I45)', async () => {
    const keys = [
      '__proto__',
      'constructor',
      'prototype',
      '__proto__/polluted',
      '../../etc/passwd',
      'a\u001b[2Jb',
      'a\nb',
      '%2e%2e/x',
      '..%2fx',
      '<b>&amp;',
    ]
    const [provider, recorder] = await playing(service, service.page([]))
    for (const key of keys) {
      recorder.answer = service.page([{ key }])
      const found = await answered(all(provider.list(everything, signal)))
      if (!(found instanceof HoldfastError))
        expect(found.map(each => each.type === 'object' && each.key)).toEqual([key])
      recorder.answer = service.page([], { prefixes: [`${key}/`] })
      await answered(all(provider.list({ ...everything, delimiter: '/' }, signal)))
    }
    expectPrototypesAsTheyWere()
  })

  test('lists in the words of a document type of its own: refused, nothing is expanded (X5)', async () => {
    const [provider, recorder] = await playing(service, service.page([]))
    recorder.answer = service.page([{ key: 'ENTITY' }])
    const doctype = '<!DOCTYPE x [<!ENTITY e "expanded">]>'
    recorder.answer = withBody(service.page([{ key: 'ENTITY' }]), text =>
      text.replace('?>', `?>${doctype}`).replaceAll('ENTITY<', '&e;<'),
    )
    const found = await answered(all(provider.list(everything, signal)))
    if (name === 'azure') expect(found).toMatchObject({ code: 'UNAVAILABLE' })
    expect(JSON.stringify(found)).not.toContain('"expanded"')
  })

  test('pages without end, in circles or with nothing in them: left (X5, I29)', async () => {
    let asked = 0
    const [raw, recorder] = await playing(service, service.page([]))
    const limits = { clock: systemClock, idleMs: 1_000, deadlineMs: 1_000, minBytesPerSecond: 1 }
    const provider = guardProvider(raw, limits)
    recorder.answer = (request, response, seen) => service.page([], { next: `t${asked++}` })(request, response, seen)
    const empty = await answered(all(provider.list(everything, signal)))
    expect(empty).toMatchObject({ code: 'UNAVAILABLE', reason: expect.stringMatching(/TIMEOUT|PROTOCOL/) })
    recorder.answer = service.page([{ key: 'a' }], { next: 'again' })
    expect(await answered(all(provider.list(everything, signal)))).toMatchObject({ reason: 'PROTOCOL' })
    recorder.answer = service.page([], { next: 'again' })
    expect(await answered(all(provider.list(everything, signal)))).toMatchObject({ reason: 'PROTOCOL' })
  })

  test('describes an object in numbers and dates that make no sense: refused, or sound (X5)', async () => {
    const wrong: Described[] = [
      ...sizes.map(size => ({ size: sizeOf(size) })),
      ...(name === 'gcs' ? ['-1', '1', 'null', '{}', '[]'].map(size => ({ size })) : []),
      ...dates.map(modified => ({ modified })),
      ...['', '""', 'W/""', 'x'.repeat(15_000), 'x'.repeat(1_000_000)].map(etag => ({ etag })),
    ]
    const [provider, recorder] = await playing(service, service.object({}))
    let refused = 0
    for (const fields of wrong) {
      recorder.answer = service.object(fields)
      const both: readonly (() => Promise<RemoteObject | RemoteBody | undefined>)[] = [
        () => provider.head('k', signal),
        () => provider.get(whole('k'), signal),
      ]
      for (const ask of both) {
        const found = await answered(ask())
        if (found === undefined) throw new Error('what was described is not absent')
        if (found instanceof HoldfastError) refused++
        else if ('body' in found) {
          expectSound(found.object)
          await found.close()
        } else expectSound(found)
      }
    }
    expect(refused).toBeGreaterThan(sizes.length)
  })

  test('gives metadata the names of the prototype: data, or left out, and no object has more than before (X5, I45)', async () => {
    const metadata = {
      __proto__x: '1',
      constructor: 'polluted',
      prototype: 'polluted',
      tostring: 'polluted',
      hasownproperty: 'polluted',
    }
    const all = Object.fromEntries([...Object.entries(metadata), ['__proto__', 'polluted']])
    const [provider] = await playing(service, service.object({}, all))
    const found = await answered(provider.head('k', signal))
    expect(found).not.toBeInstanceOf(HoldfastError)
    const { metadata: got } = found as RemoteObject
    expect(Object.getPrototypeOf(got)).toBeNull()
    expect(got['constructor']).toBe('polluted')
    expect([undefined, 'polluted']).toContain(Object.getOwnPropertyDescriptor(got, '__proto__')?.value)
    expectPrototypesAsTheyWere()
  })

  test('answers with entities, depth, tags of the prototype and halves: an error of ours, soon (X5, I45)', async () => {
    const [provider, recorder] = await playing(service, service.page([]))
    for (const [what, body] of Object.entries(bombs())) {
      for (const status of [200, 403]) {
        recorder.answer = service.say(status, body)
        const began = performance.now()
        const calls: readonly (() => Promise<unknown>)[] = [
          () => all(provider.list(everything, signal)),
          () => provider.get(whole('k'), signal),
          () => provider.put(putOf('k', 'body'), signal),
        ]
        for (const ask of calls) {
          const found = await answered(ask())
          if (found instanceof HoldfastError) expect(found.message).not.toContain('EXPANDED'.repeat(100))
        }
        expect(performance.now() - began, `${what} ${status}`).toBeLessThan(2_000)
      }
    }
    expectPrototypesAsTheyWere()
  }, 60_000)

  test('has the whole machine in its words: one short line without anything that a terminal obeys (X13)', async () => {
    const evil = `\u001b[31mFATAL\u009b2J\r\nkey: all gone \u202e${'x'.repeat(20_000)}`
    const [provider, recorder] = await playing(service, service.page([]))
    const inHeader = evil.replaceAll(/[\r\n\u001b\u202e]/g, '').slice(0, 5_000)
    for (const status of [400, 403, 500]) {
      for (const answer of [
        service.refusal(status, 'AccessDenied', evil),
        service.refusal(status, evil, 'no', name === 'azure' ? { 'x-ms-error-code': inHeader } : {}),
        service.refusal(status, 'AccessDenied', 'no', {
          'x-amz-request-id': inHeader,
          'x-ms-request-id': inHeader,
          'retry-after': inHeader,
          'x-amz-bucket-region': inHeader,
        }),
      ]) {
        recorder.answer = answer
        const calls: readonly (() => Promise<unknown>)[] = [
          () => provider.put(putOf('k', 'body'), signal),
          () => provider.get(whole('k'), signal),
          () => all(provider.list(everything, signal)),
        ]
        for (const ask of calls) {
          const found = await answered(ask())
          if (!(found instanceof HoldfastError)) continue
          expect(found.message.length).toBeLessThan(800)
          expect((found.cause as Error | undefined)?.message ?? '').not.toMatch(/[\p{Cc}\p{Cf}]/u)
          for (const value of Object.values(found.cause ?? {})) expect(String(value)).not.toMatch(/[\p{Cc}\p{Cf}]/u)
        }
      }
    }
  })
})

/** The same answer with another body. */
function withBody(answer: Answer, change: (text: string) => string): Answer {
  return (request, response, seen) => {
    const { end, writeHead } = response
    response.writeHead = ((status: number, headers: Record<string, string>) => {
      const others = Object.entries(headers).filter(([name]) => name !== 'content-length')
      return writeHead.call(response, status, Object.fromEntries(others))
    }) as typeof writeHead
    response.end = ((text: string) => end.call(response, change(text), 'utf8')) as typeof end
    return answer(request, response, seen)
  }
}

/** Bodies that are small on the wire. None is an answer of any of the three. */
function bombs(): Readonly<Record<string, string>> {
  const doctype = (inner: string, root: string) => `<?xml version="1.0"?><!DOCTYPE x [${inner}]>${root}`
  const laughs = Array.from(
    { length: 12 },
    (_, at) => `<!ENTITY l${at + 1} "${at === 0 ? 'EXPANDED' : `&l${at};`.repeat(10)}">`,
  ).join('')
  const roots = (text: string) =>
    `<Error><Code>${text}</Code><Message>${text}</Message></Error><ListBucketResult><Name>main</Name><IsTruncated>false</IsTruncated><Contents><Key>${text}</Key></Contents></ListBucketResult>`
  const deep = 5_000
  return {
    laughs: doctype(laughs, `<Error><Code>&l12;</Code><Message>&l12;</Message></Error>`),
    'laughs in a listing': doctype(
      laughs,
      `<EnumerationResults><Blobs><Blob><Name>&l12;</Name></Blob></Blobs></EnumerationResults>`,
    ),
    'a quadratic one': doctype(`<!ENTITY a "${'EXPANDED'.repeat(2_000)}">`, roots('&a;'.repeat(2_000))),
    'a file of this machine': doctype('<!ENTITY f SYSTEM "file:///etc/passwd">', roots('&f;')),
    'a parameter entity': doctype('<!ENTITY % d SYSTEM "http://169.254.169.254/"> %d;', roots('x')),
    deep: `${'<a>'.repeat(deep)}${'</a>'.repeat(deep)}`,
    'deep in an error': `<Error>${'<a>'.repeat(deep)}${'</a>'.repeat(deep)}</Error>`,
    unclosed: `<Error>${'<Message>'.repeat(deep)}`,
    'tags of the prototype':
      '<Error><__proto__><polluted>1</polluted></__proto__><constructor><prototype><polluted>1</polluted></prototype></constructor><Code>X</Code></Error>',
    'tags of the prototype in a listing':
      '<ListBucketResult><__proto__><polluted>1</polluted></__proto__><IsTruncated>false</IsTruncated><Contents><__proto__><polluted>1</polluted></__proto__></Contents></ListBucketResult>',
    'attributes of the prototype':
      '<EnumerationResults __proto__="polluted" constructor="polluted"><Blobs __proto__="x"/></EnumerationResults>',
    'JSON of the prototype':
      '{"kind":"storage#objects","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"items":[{"__proto__":{"polluted":1}}],"error":{"__proto__":{"polluted":1},"errors":[{"__proto__":{"polluted":1},"reason":{"toString":1}}],"message":{"__proto__":1}}}',
    'deep JSON': `${'['.repeat(deep)}${']'.repeat(deep)}`,
    'deep JSON in an error': `{"error":${'{"error":'.repeat(deep)}1${'}'.repeat(deep)}}`,
    numbers: `{"error":{"code":1e999,"message":-0,"errors":${'9'.repeat(10_000)}}}`,
    'no text at all': '\u0000\u0001\ufffe<',
    'half of an entity': '<Error><Code>&#x110000;&#0;&#xD800;&bogus;</Code><Message>&#27;[2J</Message></Error>',
  }
}
