import { describe, expect, test } from 'vitest'
import { type HeaderName, checkHeader, headerNames } from '../../src/holdfast/input/headers.ts'
import { refusalOf } from './support.ts'

const good: Readonly<Record<HeaderName, string>> = {
  contentType: 'text/plain',
  cacheControl: 'max-age=60',
  contentDisposition: 'attachment',
  contentEncoding: 'gzip',
  contentLanguage: 'en',
}
const longest: Readonly<Record<HeaderName, number>> = {
  contentType: 255,
  cacheControl: 1024,
  contentDisposition: 2048,
  contentEncoding: 255,
  contentLanguage: 100,
}

describe.each(headerNames)('%s', name => {
  const table: Record<string, [value: unknown, rule: string]> = {
    null: [null, 'type'],
    'a number': [5, 'type'],
    'an array': [['x'], 'type'],
    'the empty string': ['', 'empty'],
    CRLF: [`${good[name]}\r\nx-evil: 1`, 'control'],
    NUL: [`${good[name]}\0`, 'control'],
    TAB: [`${good[name]}\t`, 'control'],
    DEL: [`${good[name]}\u007f`, 'control'],
    'a C1 control': [`${good[name]}\u0080`, 'control'],
    'a letter beyond ASCII': [`${good[name]}é`, 'ascii'],
    'a character beyond Latin-1': [`${good[name]}日`, 'ascii'],
    'an unpaired surrogate': [`${good[name]}\ud800`, 'ascii'],
    'a blank first': [` ${good[name]}`, 'blank'],
    'a blank last': [`${good[name]} `, 'blank'],
    'one character too many': ['x'.repeat(longest[name] + 1), 'length'],
  }
  for (const [what, [value, rule]] of Object.entries(table)) {
    test(`${what} is refused`, () => {
      expect(refusalOf(() => checkHeader(name, value))).toMatchObject({ code: 'INVALID', field: name, rule })
    })
  }

  test('an ordinary value is taken as it is', () => expect(checkHeader(name, good[name])).toBe(good[name]))
})

describe('content types', () => {
  const bad = [
    'text',
    'text/',
    '/plain',
    'text/plain/x',
    'text plain',
    'te xt/plain',
    'text/plain;',
    'text/plain;;',
    'text/plain; charset',
    'text/plain; charset=',
    'text/plain; charset="utf-8',
    'text/plain; =utf-8',
    'text/pl(a)in',
    'text/plain, text/html',
    'undefined',
  ]
  test.each(bad)('%s is no media type', value => {
    const refusal = refusalOf(() => checkHeader('contentType', value))
    expect(refusal).toMatchObject({ code: 'INVALID', field: 'contentType', rule: 'syntax' })
    expect(refusal.message).toContain('is not a media type')
  })

  const fine = [
    'text/plain',
    'TEXT/HTML; Charset=UTF-8',
    'text/html;charset=utf-8',
    'text/html ; charset="utf-8"',
    'multipart/mixed; boundary="a b\\"c;d"',
    'application/vnd.api+json',
    'application/x-www-form-urlencoded',
    `application/${'x'.repeat(255 - 'application/'.length)}`,
  ]
  test.each(fine)('%s is one', value => expect(checkHeader('contentType', value)).toBe(value))
})

describe('content codings', () => {
  test.each(['gzipped', 'decompress', 'gzip, bogus', 'gzip,', 'aws-chunked', 'gzip;q=1'])('%s is refused', value => {
    const refusal = refusalOf(() => checkHeader('contentEncoding', value))
    expect(refusal).toMatchObject({ code: 'INVALID', field: 'contentEncoding', rule: 'unknown' })
  })

  test.each(['gzip', 'GZIP', 'br', 'zstd', 'gzip, br', 'identity', 'base64', 'utf-8'])('%s is taken', value => {
    expect(checkHeader('contentEncoding', value)).toBe(value)
  })
})

describe('content dispositions', () => {
  test('a name beyond ASCII is refused with the way to write it', () => {
    const refusal = refusalOf(() => checkHeader('contentDisposition', 'attachment; filename="naïve (1).txt"'))
    expect(refusal).toMatchObject({ field: 'contentDisposition', rule: 'ascii' })
    expect(refusal.message).toContain("filename*=UTF-8''na%C3%AFve%20%281%29.txt")
  })

  test('a name that nobody can encode is refused all the same', () => {
    expect(refusalOf(() => checkHeader('contentDisposition', 'x; filename="\ud800"')).rule).toBe('ascii')
  })

  test('what S3 code writes is taken, tidy or not', () => {
    for (const value of [
      "attachment; filename*=UTF-8''na%C3%AFve.txt",
      'attachment; filename=my file.pdf',
      'inline; filename="a;b.txt"',
      'x'.repeat(2048),
    ]) {
      expect(checkHeader('contentDisposition', value)).toBe(value)
    }
  })
})
