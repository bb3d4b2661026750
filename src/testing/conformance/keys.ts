import assert from 'node:assert/strict'
import { compareKeys } from '../../core/key.ts'
import type { Provider } from '../../core/provider.ts'
import { type Check, each, expectedList, shape } from './bench.ts'

/** What people, operating systems, URL parsers and XML have trouble with. Each goes behind a prefix that ends in a slash. */
const nastyKeys: readonly string[] = [
  [' ', 'a b', ' leading', 'trailing ', 'two  blanks', '+', 'a+b', 'a b+c%20d'],
  ['%', '%41', '%2F', '%2f', '%2e%2e', '%2e%2e/x', '%252F', '%zz', '100%', '%00'],
  ['#', 'a#b', '#/x', '?', 'a?b=c&d', '?versionId=1', '&', '&amp;', '=', ';', ':', ',', '@', '$'],
  ["'", '"', '`', '(', ')', '*', '**', '~', '~user', '^', '-', '_'],
  ['!', '!41', '!2F', '!f', 'a!f', 'a!f/b', '!H', '!d', 'a!d/b'],
  ['<', '>', '|', '<xml>&amp;</xml>', ']]>', '[x]', '{x}', '{{x}}', '\\', 'a\\b', 'a\\..\\b', '\\..\\x'],
  ['.', '..', '...', '.hidden', 'a/../b', 'a/./b', './x', '../x', '../../x', 'a/.', 'a/..', 'a.', 'a./b', 'a /b'],
  ['/', '//', '///', '/lead', 'trail/', 'a//b', 'a/', 'a/b', 'a', 'a/b/c', 'a/b/', 'a0', 'a-', 'a-b'],
  ['A', 'a/B', 'Ab', 'aB', 'AB', 'ab', 'CON', 'nul.txt', 'com1', 'LPT1', 'aux/x', 'desktop.ini'],
  ['index.html', 'soap', '.well-known/acme-challenge/x', '.holdfast/x'],
  ['\u00e9', 'e\u0301', '\u00df', '\u0130', 'i\u0307', '\u03c3\u03c2', '\u65e5\u672c\u8a9e', '\ufb01', '\u1e9e'],
  ['\u{1f600}', '\u{1f469}\u200d\u{1f467}', '\u{10ffff}', '\ufffd', '\uffff', '\ue000', '\uf8ff', '\ufeffbom'],
  ['\u200f', '\u202e', '\u2028', '\u2029', '\u00a0', '\u3000', '\u0001', '\u001f', '\u007f', '\u0085'],
  ['\t', '\n', '\r', 'a\r\nb', '\0'],
  ['__proto__', 'constructor', 'toString', 'null', 'undefined', '0', '-1', '1e3', 'true'],
  [
    'x'.repeat(255),
    'x'.repeat(256),
    'X'.repeat(200),
    '\u00e9'.repeat(150),
    `${'x'.repeat(130)}1`,
    `${'x'.repeat(130)}2`,
  ],
  [Array.from({ length: 95 }, (_none, index) => String.fromCharCode(0x20 + index)).join('')],
  [`${'d/'.repeat(100)}deep`, `${'long-segment-'.repeat(18)}/${'long-segment-'.repeat(18)}`],
].flat()

/** Keys come back as they were, each its own object, and what cannot be held is refused before it is sent. */
export function testKeys(check: Check): void {
  check('every key that is not refused is an object of its own', async bench => {
    const { provider, signal, under } = bench
    const keys = heldKeys(provider, under)
    await each(keys, 8, async key => void (await bench.put(key, `body of ${key}`)))
    await each(keys, 8, async key => {
      assert.equal((await bench.head(key))?.key, key)
      assert.equal(await bench.text(key), `body of ${key}`)
    })
    if (bench.capabilities.listsAtOnce) assert.deepEqual(shape(await bench.list({})), shapeOf(keys))

    const [gone, kept] = [keys.filter((_key, index) => index % 2 === 0), keys.filter((_key, index) => index % 2 === 1)]
    await each(gone, 8, async key => void (await provider.delete(key, undefined, signal)))
    await each(gone, 8, async key => assert.equal(await bench.head(key), undefined, JSON.stringify(key)))
    await each(kept, 8, async key => assert.equal(await bench.text(key), `body of ${key}`))
    if (bench.capabilities.listsAtOnce) assert.deepEqual(shape(await bench.list({})), shapeOf(kept))
  })

  check('listings can begin, and be cut, at any key', async bench => {
    if (!bench.capabilities.listsAtOnce) return
    const keys = heldKeys(bench.provider, bench.under).filter((_key, index) => index % 3 === 0)
    await each(keys, 8, async key => void (await bench.put(key, '')))
    for (const key of keys.filter((_key, index) => index % 5 === 0)) {
      for (const request of [
        { prefix: bench.under, delimiter: '', startAfter: key },
        { prefix: key, delimiter: '', startAfter: '' },
        { prefix: bench.under, delimiter: '/', startAfter: key },
      ]) {
        assert.deepEqual(shape(await bench.list(request)), expectedList(keys, request), JSON.stringify(request))
      }
    }
  })

  check('a key of exactly the limit is held, one more byte is refused', async bench => {
    const { provider, under } = bench
    const longest = under + 'k'.repeat(provider.limits.keyBytes - under.length)
    assert.equal(provider.refuseKey(longest), undefined)
    assert.equal(provider.refuseKey(`${longest}k`)?.rule, 'length')
    const sibling = `${longest.slice(0, -1)}j`
    await bench.put(longest, 'longest')
    await bench.put(sibling, 'sibling')
    assert.equal(await bench.text(longest), 'longest')
    assert.equal(await bench.text(sibling), 'sibling')
    if (bench.capabilities.listsAtOnce) assert.deepEqual(shape(await bench.list({})), shapeOf([sibling, longest]))
    const segments = `${under}${'seg/'.repeat(200)}`.slice(0, Math.min(provider.limits.keyBytes, 900) - 1)
    const many = `${segments}x`
    if (provider.refuseKey(many) === undefined) {
      await bench.put(many, 'many segments')
      assert.equal(await bench.text(many), 'many segments')
    }
  })

  check('what no service can hold is refused, and why is said', async ({ provider, under }) => {
    assert.equal(provider.refuseKey('')?.rule, 'length')
    assert.equal(provider.refuseKey(`${under}\ud800`)?.rule, 'unicode')
    assert.equal(provider.refuseKey(`${under}\udc00x`)?.rule, 'unicode')
    assert.equal(provider.refuseKey(`${under}a\udc00\ud800b`)?.rule, 'unicode')
    assert.equal(provider.refuseKey(`${under}${'\u{1f600}'.repeat(300)}`)?.rule, 'length')
    for (const key of nastyKeys) {
      const refusal = provider.refuseKey(under + key)
      if (refusal === undefined) continue
      assert.match(refusal.rule, /^[a-z]+$/)
      assert.ok(refusal.message.length > 0)
      assert.ok(refusal.index === undefined || (refusal.index >= 0 && refusal.index <= (under + key).length))
    }
    assert.equal(provider.refuseKey(`${under}photos/2025/cat.jpg`), undefined, 'plain keys are held by everyone')
    assert.equal(provider.refuseKey('.holdfast/identity'), undefined, "Holdfast's own names are held by everyone")
  })
}

function heldKeys(provider: Provider, under: string): string[] {
  const keys = nastyKeys.map(key => under + key).filter(key => provider.refuseKey(key) === undefined)
  return [...new Set(keys)]
}

function shapeOf(keys: readonly string[]): string[] {
  return [...keys].sort(compareKeys).map(key => `object ${key}`)
}
