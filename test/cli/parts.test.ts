import { expect, test } from 'vitest'
import { byteCount } from '../../src/cli/arguments.ts'
import { bytesText, plain, table, timeText } from '../../src/cli/format.ts'
import { providerOf } from '../../src/cli/spec.ts'
import { screenOf } from './screen.ts'

const env = { AZURE_STORAGE_KEY: 'a2V5a2V5' }

test('the short word for a provider gives the provider that its options would give', () => {
  const amazon = providerOf('s3:photos?region=eu-central-1&prefix=2026/&name=main', '--primary', env)
  expect([amazon.kind, amazon.name]).toEqual(['s3', 'main'])
  expect(amazon.location).toContain('photos')
  expect(providerOf('gcs:photos-copy', '--secondary', env).name).toBe('gcs:photos-copy')
  expect(providerOf('azure:photos?account=mine', '--mirror', env).location).toContain('mine')
  expect(providerOf('fs:/mnt/a%20copy?name=disk', '--mirror', env).location).toBe('fs:/mnt/a copy')
})

test.each([
  ['s3:', 'write s3:bucket?name=value&name=value'],
  ['s3:a/b', 'a prefix goes behind it as ?prefix=…'],
  ['s3:key:secret@bucket', 'the name of the bucket alone'],
  ['photos', 'write s3:bucket?region=…'],
  ['fs:relative', 'an absolute path'],
  ['s3:b?partSize=big', 'partSize wants a number'],
  ['s3:b?forcePathStyle=yes', 'forcePathStyle wants true or false'],
  ['s3:b?region=a&region=b', 'region is given twice'],
  ['s3:b?endpoint=https://id:hunter2@host', 'no credentials in flags (endpoint)'],
  ['azure:photos?sasToken=sv=1&sig=hunter2', 'no credentials in flags (sasToken)'],
  ['azure:photos?accountKey=hunter2', 'no credentials in flags (accountKey)'],
  ['gcs:photos?keyFilename=/x.json', 'no credentials in flags (keyFilename)'],
  ['memory:x', '"memory" is no kind of provider'],
])('%s is refused, and shows no secret (I42)', (spec, wanted) => {
  const refusal = () => providerOf(spec, '--primary', env)
  expect(refusal).toThrow(wanted)
  expect(refusal).not.toThrow(/hunter2/)
})

test('without a key in the environment Azure is refused, and says where the key is looked for', () => {
  expect(() => providerOf('azure:photos?account=mine', '--primary', {})).toThrow(/set AZURE_STORAGE_KEY/)
})

test('numbers for people', () => {
  expect([0, 1023, 1024, 1536, 10 * 2 ** 20, 5 * 2 ** 40].map(bytesText)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '10 MiB',
    '5.0 TiB',
  ])
  expect([0, 999, 1000, 61_000, 3_600_000, 90_000_000].map(timeText)).toEqual([
    '0 ms',
    '999 ms',
    '1 s',
    '1 m 1 s',
    '1 h 0 m',
    '1 d 1 h',
  ])
  expect(['10', '20MiB', '1.5GB', '1k'].map(byteCount)).toEqual([10, 20 * 2 ** 20, 1_500_000_000, 1000])
  expect(() => byteCount('0')).toThrow(/number of bytes/)
})

test('what a key could do to a terminal is escaped, in tables too (X13)', () => {
  expect(plain('2026/größer 100 %.jpg')).toBe('2026/größer 100 %.jpg')
  expect(plain('a\u001b[2Jb')).toBe('"a\\u001b[2Jb"')
  expect(plain('a\u202eb')).toBe('"a\\u{202e}b"')
  expect(plain(' a')).toBe('" a"')
  expect(
    table(
      [
        ['a', '1'],
        ['long', '22'],
      ],
      [1],
    ),
  ).toEqual(['a      1', 'long  22'])
})

test('the terminal of these tests shows what a terminal shows', () => {
  expect(screenOf('one\r\ntwo\r\nthree\r\n\u001b[2A\u001b[1G\u001b[0Jnew\r\n')).toBe('one\nnew')
  expect(screenOf('\u001b[31mred\u001b[39m A G H J')).toBe('red A G H J')
})
