import { describe, expect, test } from 'vitest'
import { checksumAlgorithms } from '../../src/core/checksum.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { entryName, writeEntry } from '../../src/core/entry.ts'
import { memory } from '../../src/providers/memory.ts'
import { eventually, keysOf, testDirectory } from '../support/store.ts'
import { keeper, putPast } from './features.ts'

/** Of "123456789". */
const sums = {
  CRC32: 'y/Q5Jg==',
  CRC32C: '4waSgw==',
  CRC64NVME: 'rosUhgp5mIg=',
  SHA1: '98O8HYCOBHMq32eZZczDTKeuNEE=',
  SHA256: 'FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=',
} as const
const digits = Buffer.from('123456789')
const wrong = (algorithm: keyof typeof sums) =>
  Buffer.alloc(Buffer.from(sums[algorithm], 'base64').length).toString('base64')

describe('a checksum that the app asks for', () => {
  test.each(checksumAlgorithms)('%s is computed, given back while pending and after replication', async algorithm => {
    await using directory = await testDirectory()
    const [a, b] = [keeper('a'), keeper('b', 'other')]
    a.away.is = true
    b.away.is = true
    const store = await directory.open([a.provider, b.provider])
    const checksum = { algorithm, value: sums[algorithm] }
    const receipt = await store.put('k', digits, { checksum: { algorithm } })
    expect(receipt.checksum).toEqual(checksum)
    expect((await store.head('k'))?.checksum).toEqual(checksum)
    a.away.is = false
    b.away.is = false
    await store.drain({ until: 'verified' })
    await eventually(async () => (await store.status()).done === 1)
    for (const away of [b, a]) {
      away.away.is = true
      expect((await store.head('k'))?.checksum).toEqual(checksum)
      const got = await store.get('k')
      expect(got?.info.checksum).toEqual(checksum)
      expect({ ...got?.info.metadata }).toEqual({})
      expect(await got?.text()).toBe('123456789')
      away.away.is = false
    }
  })

  test.each(checksumAlgorithms)(
    '%s that is right is taken; a wrong one rejects, and stores nothing',
    async algorithm => {
      await using directory = await testDirectory()
      const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
      const store = await directory.open([a, b])
      for (const body of [digits, Buffer.alloc(40_000, digits)]) {
        const asked = { algorithm, value: wrong(algorithm) }
        await expect(store.put('k', body, { checksum: asked })).rejects.toMatchObject({
          code: 'CHECKSUM',
          field: 'checksum',
          rule: 'mismatch',
          outcome: 'rejected',
        })
      }
      expect(await store.status()).toMatchObject({ accepted: 0, stage: { bytes: 0 } })
      const value = sums[algorithm]
      const receipt = await store.put('k', digits, { checksum: { algorithm, value }, ack: 'all' })
      expect(receipt.checksum).toEqual({ algorithm, value })
      expect(await keysOf(a)).toEqual(['k'])
    },
  )

  test('none is kept where none is asked for', async () => {
    await using directory = await testDirectory()
    const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
    const receipt = await store.put('k', digits)
    expect(receipt).not.toHaveProperty('checksum')
    expect(await store.head('k')).not.toHaveProperty('checksum')
  })
})

describe('the checksum of a copy', () => {
  test.each(['pending', 'replicated'])(
    'is that of its source, or the one that is asked for (source %s)',
    async when => {
      await using directory = await testDirectory()
      const [a, b] = [keeper('a'), keeper('b')]
      const away = when === 'pending'
      a.away.is = away
      b.away.is = away
      const store = await directory.open([a.provider, b.provider])
      const body = Buffer.alloc(50_000, digits)
      const { checksum } = await store.put('from', body, { checksum: { algorithm: 'SHA1' } })
      if (!away) await store.drain({ until: 'verified' })
      expect((await store.copy('from', 'same')).checksum).toEqual(checksum)
      expect((await store.head('same'))?.checksum).toEqual(checksum)
      const { checksum: other } = await store.put('other', body, { checksum: { algorithm: 'CRC64NVME' } })
      const asked = await store.copy('from', 'asked', { checksum: { algorithm: 'CRC64NVME' } })
      expect(asked.checksum).toEqual(other)
      expect((await store.head('asked'))?.checksum).toEqual(other)
      await expect(
        store.copy('from', 'wrong', { checksum: { algorithm: 'CRC32', value: wrong('CRC32') } }),
      ).rejects.toMatchObject({ code: 'CHECKSUM', field: 'checksum', outcome: 'rejected' })
      const sha256 = '0'.repeat(64)
      await expect(store.copy('from', 'wrong', { expect: { sha256 } })).rejects.toMatchObject({ field: 'sha256' })
      await expect(store.copy('from', 'wrong', { expect: { md5: '0'.repeat(32) } })).rejects.toMatchObject({
        field: 'md5',
      })
      await expect(store.copy('from', 'wrong', { expect: { size: 1 } })).rejects.toMatchObject({ field: 'size' })
      a.away.is = false
      b.away.is = false
      await store.drain()
      expect(await store.head('wrong')).toBeUndefined()
    },
  )
})

test('a checksum of the parts of a source becomes one of all bytes of its copy, which is one piece', async () => {
  await using directory = await testDirectory()
  const [a, b] = [keeper('a'), keeper('b')]
  const store = await directory.open([a.provider, b.provider])
  const { crc32c, md5 } = digestsOf(digits)
  const version = '0199e5a1c2b30000a1b2c3d4e5f60718'
  const entry = writeEntry('from', { version, size: 9, crc32c, etag: `${md5}-3`, partSize: 3 })
  const metadata = { [entryName]: entry, holdfastsum: 'CRC32:BECcDQ==-3' }
  for (const { provider } of [a, b]) await putPast(provider, 'from', digits, { metadata })
  expect(await store.head('from')).toMatchObject({
    etag: `${md5}-3`,
    parts: { count: 3, bytes: 3 },
    checksum: { algorithm: 'CRC32', value: 'BECcDQ==-3' },
  })
  const copied = await store.copy('from', 'copy')
  expect(copied).toMatchObject({ etag: md5, checksum: { algorithm: 'CRC32', value: sums.CRC32 } })
  await copied.replicated({ until: 'verified' })
})

describe('a kept checksum on an object that somebody else wrote', () => {
  test('is not believed, and not taken in', async () => {
    await using directory = await testDirectory()
    const [a, b] = [keeper('a'), keeper('b')]
    const store = await directory.open([a.provider, b.provider])
    const metadata = { holdfastsum: 'CRC32:AAAAAA==', owner: 'ann' }
    await putPast(a.provider, 'k', digits, { metadata })
    expect(await store.head('k')).not.toHaveProperty('checksum')
    const receipt = await store.adopt('k')
    await receipt.replicated({ until: 'verified' })
    const info = await store.head('k')
    expect(info).not.toHaveProperty('checksum')
    expect({ ...info?.metadata }).toEqual({ owner: 'ann' })
  })

  test('with text of another form is dropped from what is copied and taken in', async () => {
    await using directory = await testDirectory()
    const [a, b] = [keeper('a'), keeper('b')]
    const store = await directory.open([a.provider, b.provider])
    const metadata = { holdfastsum: 'whatever', holdfast: 'x', owner: 'ann' }
    await putPast(a.provider, 'k', digits, { metadata })
    const copied = await store.copy('k', 'copy', { checksum: { algorithm: 'CRC32' } })
    await copied.replicated({ until: 'verified' })
    expect(await store.head('copy')).toMatchObject({ checksum: { algorithm: 'CRC32', value: sums.CRC32 } })
    await (await store.adopt('k')).replicated({ until: 'verified' })
    for (const key of ['k', 'copy']) expect({ ...(await store.head(key))?.metadata }).toEqual({ owner: 'ann' })
  })
})
