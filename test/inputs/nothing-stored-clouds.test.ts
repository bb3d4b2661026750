import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { azure } from '../../src/providers/azure.ts'
import { fs } from '../../src/providers/fs.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { type Refused, rejection, unread, type Watched, watched } from './nothing-stored.ts'

/**
 * What the real drivers say that their services hold, in pairs as apps configure them: what one of the two could not hold is refused before
 * its body is read, naming that one, and what both hold is taken (I37). Nothing is sent: every call fails before it reaches a driver.
 */

const endpoint = 'http://127.0.0.1:9'
const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' }
/** Names the provider, so that a refusal says which of the two it was. */
const make = {
  s3: () => s3({ bucket: 'photos', name: 's3', endpoint, region: 'us-east-1', credentials }),
  's3 by host name': () =>
    s3({ bucket: 'photos', name: 's3', endpoint, region: 'us-east-1', credentials, forcePathStyle: false }),
  gcs: () => gcs({ bucket: 'photos', name: 'gcs', apiEndpoint: endpoint, projectId: 'test' }),
  azure: () =>
    azure({
      container: 'photos',
      name: 'azure',
      endpoint: `${endpoint}/account`,
      accountName: 'account',
      accountKey: Buffer.from('key').toString('base64'),
    }),
  fs: () => fs({ root: '/nowhere/at/all', name: 'fs' }),
  'fs far down': () => fs({ root: `/${'r'.repeat(200)}`.repeat(8), name: 'fs' }),
  memory: () => memory({ name: 'memory' }),
} satisfies Record<string, () => Provider>

type Kind = 's3' | 'gcs' | 'azure' | 'fs' | 'memory'
interface Pair {
  readonly of: string
  readonly kinds: readonly [Kind, Kind]
  readonly providers: readonly [() => Provider, () => Provider]
}
const pairs: readonly Pair[] = [
  { of: 'S3 and Cloud Storage', kinds: ['s3', 'gcs'], providers: [make.s3, make.gcs] },
  { of: 'S3 and Azure', kinds: ['s3', 'azure'], providers: [make.s3, make.azure] },
  { of: 'Cloud Storage and Azure', kinds: ['gcs', 'azure'], providers: [make.gcs, make.azure] },
  { of: 'a directory and memory', kinds: ['fs', 'memory'], providers: [make.fs, make.memory] },
]

/** Rule and words of each provider that refuses the key; the others hold it. */
interface KeyRow {
  readonly key: string
  readonly refusedBy: Partial<Record<Kind, readonly [rule: string, says: string | RegExp]>>
}
const everywhere = (key: string): KeyRow => ({ key, refusedBy: {} })
const at = (index: number) => new RegExp(`index ${index}`)
const control = (code: number, but: readonly Kind[] = []): KeyRow => {
  const says = new RegExp(`U\\+${code.toString(16).toUpperCase().padStart(4, '0')} at index 1`)
  const refusing = (['s3', 'gcs', 'azure'] as const).filter(kind => !but.includes(kind))
  return {
    key: `a${String.fromCharCode(code)}b`,
    refusedBy: Object.fromEntries(refusing.map(kind => [kind, ['control', says] as const])),
  }
}
const segment = (key: string, index: number): KeyRow => ({
  key,
  refusedBy: { s3: ['segment', at(index)], azure: ['segment', at(index)] },
})
const azureOnly = (key: string, rule: string, says: string | RegExp): KeyRow => ({
  key,
  refusedBy: { azure: [rule, says] },
})
const tooLong = (key: string): KeyRow => {
  const length = ['length', `is ${Buffer.byteLength(key)} bytes, limit 1024`] as const
  return { key, refusedBy: { s3: length, gcs: length, azure: length, fs: length, memory: length } }
}
const dots = (key: string): KeyRow => ({
  key,
  refusedBy: { s3: ['segment', at(0)], gcs: ['segment', `is "${key}"`], azure: ['segment', at(0)] },
})

const keys: Readonly<Record<string, KeyRow>> = {
  NUL: control(0),
  'U+0001': control(1),
  TAB: control(9),
  LF: control(10),
  CR: control(13),
  'U+001F': control(0x1f),
  DEL: control(0x7f, ['s3']),
  'U+0080': control(0x80, ['s3']),
  'U+009F': control(0x9f, ['s3']),
  'a line separator': everywhere('a\u2028b'),
  'a bidi override': everywhere('a\u202eb'),
  'U+FFFE': {
    key: 'a\ufffe',
    refusedBy: { s3: ['control', at(1)], gcs: ['control', at(1)], azure: ['unicode', at(1)] },
  },
  'U+FFFF': {
    key: 'a\uffff',
    refusedBy: { s3: ['control', at(1)], gcs: ['control', at(1)], azure: ['unicode', at(1)] },
  },
  'a byte order mark first': everywhere('\ufeffa'),
  'private use': azureOnly('a\ue000', 'unicode', 'U+E000 at index 1'),
  'a dot': dots('.'),
  'two dots': dots('..'),
  'a/../b': segment('a/../b', 2),
  '../x': segment('../x', 0),
  './x': segment('./x', 0),
  'a/.': segment('a/.', 2),
  'a/..': segment('a/..', 2),
  'dots that are percent text': everywhere('%2e%2e/x'),
  'dots between backslashes': azureOnly('a\\..\\b', 'slash', 'backslash at index 1'),
  'a backslash': azureOnly('\\', 'slash', 'backslash at index 0'),
  'a slash first': everywhere('/lead'),
  'a slash last': everywhere('trail/'),
  'two slashes': everywhere('a//b'),
  'nothing but slashes': everywhere('///'),
  'a dot at the end of a segment': azureOnly('a./b', 'segment', 'ends in "." at index 1'),
  'a dot at the end': azureOnly('photo.', 'segment', 'ends in "." at index 5'),
  'a blank at the end': everywhere('a '),
  'devices of Windows': everywhere('CON/nul/com1.txt'),
  'the challenges of Cloud Storage': {
    key: '.well-known/acme-challenge/x',
    refusedBy: { gcs: ['reserved', '.well-known/acme-challenge/'] },
  },
  'soap, with the bucket in the path': everywhere('soap'),
  '254 segments': everywhere(Array.from({ length: 254 }, () => 'a').join('/')),
  '255 segments': azureOnly(Array.from({ length: 255 }, () => 'a').join('/'), 'segment', '255 segments'),
  'a segment of 1,024 bytes': everywhere('x'.repeat(1024)),
  '1,025 bytes': tooLong('x'.repeat(1025)),
  'one emoji over 1,024 bytes': tooLong(`${'x'.repeat(1021)}😀`),
  'not normalised': everywhere('e\u0301'),
  'upper case': everywhere('Photo.JPG'),
}

/** Of the two, the first that refuses it. */
function refusalOf({ kinds }: Pair, { key, refusedBy }: KeyRow): Refused | undefined {
  const [kind] = kinds.filter(each => refusedBy[each] !== undefined)
  const found = kind === undefined ? undefined : refusedBy[kind]
  if (kind === undefined || found === undefined) return undefined
  const short =
    key.length > 80 ? [] : [JSON.stringify(key).replaceAll('\u007f', '\\u007f').replaceAll('\ufeff', '\\ufeff')]
  const says = [found[1], `provider "${kind}" cannot hold`, ...short.filter(text => /^[ -~]*$/.test(text))]
  return { field: 'key', rule: found[0], provider: kind, says }
}

for (const pair of pairs)
  describe(pair.of, () => {
    let refusing: Watched
    let taking: Watched
    beforeAll(async () => {
      const open = () => watched([pair.providers[0](), pair.providers[1]()], { rules: [{ fault: outage }] })
      refusing = await open()
      taking = await open()
    })
    afterAll(async () => {
      expect((await refusing.traces()).accepted).toBe(0)
      for (const store of [refusing, taking]) {
        expect(store.askedAbout()).toEqual([])
        await store[Symbol.asyncDispose]()
      }
    })

    async function refusesPut(key: string, options: object, refused: Refused): Promise<void> {
      const { body, isRead } = unread()
      await refusing.refuses(store => store.put(key, body, options), refused)
      expect(isRead()).toBe(false)
    }

    for (const [name, row] of Object.entries(keys)) {
      const refused = refusalOf(pair, row)
      if (refused === undefined)
        test(`hold a key with ${name}, and the marker of its delete`, async () => {
          const receipt = await taking.store.put(row.key, 'x')
          expect(receipt.key).toBe(row.key)
          expect(await (await taking.store.get(row.key))?.text()).toBe('x')
          await taking.store.delete(row.key)
          expect(await taking.store.get(row.key)).toBeUndefined()
        })
      else
        test(`refuse a key with ${name}: ${refused.provider} says ${refused.rule}`, async () => {
          await refusesPut(row.key, {}, refused)
          for (const call of [
            () => refusing.store.get(row.key),
            () => refusing.store.delete(row.key),
            () => refusing.store.copy('from', row.key),
          ])
            await refusing.refuses(call, refused)
        })
    }

    for (const [field, value, rule] of [
      ['contentType', 'text/plain\r\nx-evil: 1', 'control'],
      ['contentType', 'text', 'syntax'],
      ['cacheControl', 'max-age=60\0', 'control'],
      ['cacheControl', 'x'.repeat(1025), 'length'],
      ['contentDisposition', 'attachment; filename="é"', 'ascii'],
      ['contentEncoding', 'gzipped', 'unknown'],
      ['contentLanguage', ' en', 'blank'],
      ['contentLanguage', 'x'.repeat(101), 'length'],
    ] as const)
      test(`refuse ${field} ${JSON.stringify(value).slice(0, 40)}: ${rule}`, () =>
        refusesPut('k', { [field]: value }, { field, rule, says: field }))

    test('hold headers at their limits, and as existing code writes them', async () => {
      await taking.store.put('headers', 'x', {
        contentType: `application/${'x'.repeat(243)}`,
        cacheControl: 'x'.repeat(1024),
        contentDisposition: 'x'.repeat(2048),
        contentEncoding: 'GZIP, br',
        contentLanguage: 'x'.repeat(100),
      })
      const info = await taking.store.head('headers')
      expect([info?.contentType.length, info?.contentDisposition?.length]).toEqual([255, 2048])
      expect(info?.contentEncoding).toBe('GZIP, br')
    })

    test('refuse more than 5 TiB, announced', () => {
      const [provider] = pair.kinds.filter(kind => kind !== 'azure')
      return refusesPut(
        'k',
        { expect: { size: 5 * 2 ** 40 + 1 } },
        { field: 'size', rule: 'limit', provider: provider ?? '', says: ['5497558138881', 'limit 5497558138880'] },
      )
    })

    for (const [name, { unit, most }] of Object.entries(metadataOf(pair))) {
      test(`hold metadata ${name}: ${most.units} characters, and it comes back`, async () => {
        const metadata = { [unit.name]: unit.text.repeat(most.units) }
        await taking.store.put('metadata', 'x', { metadata })
        expect({ ...(await taking.store.head('metadata'))?.metadata }).toEqual(metadata)
      })
      test(`refuse metadata ${name}: one character more, naming ${most.provider}`, () =>
        refusesPut(
          'k',
          { metadata: { [unit.name]: unit.text.repeat(most.units + 1) } },
          {
            field: 'metadata',
            rule: 'size',
            provider: most.provider,
            says: [/^metadata is \d+ bytes/, `at provider "${most.provider}", limit ${most.limit}`],
          },
        ))
    }
  })

interface MetadataRow {
  readonly unit: { readonly name: string; readonly text: string }
  readonly most: { readonly units: number; readonly provider: Kind; readonly limit: number }
}

/**
 * How much fits, worked out by hand. Our own entry is counted with 158 bytes. An entry that a service cannot hold as it is goes into
 * `holdfast_meta` (13 bytes) as base64url of `[["<name>","<value>"]]`.
 */
function metadataOf({ of }: Pair): Readonly<Record<string, MetadataRow>> {
  const plain = { name: 'owner', text: 'x' }
  const hyphen = { name: 'x-owner', text: 'x' }
  const beyond = { name: 'owner', text: 'é' }
  const row = (unit: MetadataRow['unit'], units: number, provider: Kind, limit: number): MetadataRow => ({
    unit,
    most: { units, provider, limit },
  })
  // 2048 - 158 - 5, and - 7; 1877 characters of base64url are 1407 bytes, less 14 around the value, in characters of 2 bytes.
  const ofS3 = {
    'in ASCII': row(plain, 1885, 's3', 2048),
    'under a name with a hyphen': row(hyphen, 1883, 's3', 2048),
    'beyond ASCII': row(beyond, 696, 's3', 2048),
  }
  switch (of) {
    case 'S3 and Cloud Storage':
      return ofS3
    case 'S3 and Azure':
      // Azure holds no hyphen: 8192 - 158 - 13 are 8021 characters of base64url, far more than S3 has room for.
      return ofS3
    case 'Cloud Storage and Azure':
      // 8021 characters of base64url are 6015 bytes, less 16 around the value, or 14 in characters of 2 bytes.
      return {
        'in ASCII': row(plain, 8029, 'gcs', 8192),
        'under a name with a hyphen, which Azure does not hold': row(hyphen, 5999, 'azure', 8192),
        'beyond ASCII, which Azure does not hold': row(beyond, 3000, 'azure', 8192),
      }
    default:
      return {
        'in ASCII': row(plain, 8029, 'fs', 8192),
        'under a name with a hyphen': row(hyphen, 8027, 'fs', 8192),
        'beyond ASCII': row(beyond, 4014, 'fs', 8192),
      }
  }
}

describe('what depends on how a provider is configured', () => {
  test('soap is refused where the bucket is in the host name', async () => {
    await using store = await watched([make.memory(), make['s3 by host name']()], { rules: [{ fault: outage }] })
    const refused: Refused = { field: 'key', rule: 'reserved', provider: 's3', says: ['"soap"', 'SOAP'] }
    await store.refuses(({ put }) => put('soap', unread().body), refused)
    await store.store.put('soap.txt', 'x')
  })

  test('a key that would be too long a path under a deep root is refused, and a shorter one taken', async () => {
    await using store = await watched([make.memory(), make['fs far down']()], { rules: [{ fault: outage }] })
    const key = Array.from({ length: 16 }, () => 'É'.repeat(31)).join('/')
    expect(Buffer.byteLength(key)).toBeLessThan(1024)
    const refused: Refused = { field: 'key', rule: 'length', provider: 'fs', says: /path of \d+ bytes, limit 4095/ }
    await store.refuses(({ put }) => put(key, unread().body), refused)
    await store.store.put(key.toLowerCase().slice(0, 100), 'x')
  })

  test('a prefix takes its bytes from every key', async () => {
    const prefix = 'tenant/'
    const options = { bucket: 'photos', name: 's3', endpoint, region: 'us-east-1', credentials, prefix }
    await using store = await watched([s3(options), make.memory()], { rules: [{ fault: outage }] })
    const most = 1024 - prefix.length
    await store.store.put('x'.repeat(most), 'x')
    const refused: Refused = {
      field: 'key',
      rule: 'length',
      provider: 's3',
      says: ['1025 bytes, limit 1024', '"tenant/"'],
    }
    await store.refuses(({ put }) => put('x'.repeat(most + 1), unread().body), refused)
    // On the wire `tenant/../other` would be somebody else's (I44).
    await store.refuses(({ put }) => put('../other/secret', unread().body), {
      field: 'key',
      rule: 'segment',
      provider: 's3',
      says: '".." segment',
    })
  })

  test('a URL to read what no provider has yet is UNAVAILABLE, not a link to nothing', async () => {
    await using store = await watched([make.s3(), make.gcs()], { rules: [{ fault: outage }] })
    await store.store.put('k', 'x')
    const error = await rejection(() => store.store.signedUrl('k', { method: 'GET', expiresInSeconds: 60 }))
    expect(error).toMatchObject({ code: 'UNAVAILABLE', outcome: 'rejected', key: 'k' })
    expect((error as Error).message).toMatch(/no URL can be signed now: s3 .*; gcs /)
  })
})
