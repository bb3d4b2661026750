import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { entryName } from '../../core/entry.ts'
import type { S3FeatureName, S3Features } from '../../core/features.ts'
import { type PartRun, pieces } from '../../core/layout.ts'
import { type Bench, bytesOf, type Check, content } from './bench.ts'

const mebibyte = 2 ** 20

/** The parts that an app had, features that some services keep, and what listings tell of our entry. */
export function testFeatures(check: Check): void {
  check('given parts of whatever size, the whole body is stored', async bench => {
    const bytes = content(100_000, 21)
    const layouts: readonly (readonly PartRun[])[] = [
      [],
      [{ count: 1, bytes: 100_000 }],
      [
        { count: 3, bytes: 30_000 },
        { count: 1, bytes: 10_000 },
      ],
      [
        { count: 1, bytes: 1 },
        { count: 1, bytes: 99_999 },
      ],
    ]
    for (const [index, parts] of layouts.entries()) {
      const key = `${bench.under}${index}`
      await bench.put(key, bytes, { parts })
      await holds(bench, key, bytes)
    }
  })

  check('where ETags are made of parts, that of an object is of those that were given', async bench => {
    if (bench.provider.kind !== 's3') return
    const key = `${bench.under}parts`
    const parts = [
      { count: 2, bytes: 5 * mebibyte },
      { count: 1, bytes: 1 },
    ]
    const bytes = content(10 * mebibyte + 1, 22)
    const etag = etagOf(bytes, parts)
    assert.equal((await bench.put(key, bytes, { parts })).etag, etag)
    assert.equal((await bench.head(key))?.etag, etag)
    const listed = (await bench.list({ prefix: key })).map(entry => (entry.type === 'object' ? entry.etag : undefined))
    assert.deepEqual(listed, [etag])
    await holds(bench, key, bytes)
  })

  check('a feature is refused by its name, or taken with the put', async bench => {
    const { provider } = bench
    assert.equal(provider.refuseFeatures?.({}), undefined)
    for (const [name, value] of samples) {
      const s3: S3Features = { [name]: value }
      const refusal = provider.refuseFeatures?.({ s3 })
      if (refusal === undefined) continue
      assert.equal(refusal.field, `s3.${name}`)
      assert.ok(refusal.message.length > 0)
      const relaxed = provider.refuseFeatures?.({ s3, relax: [name] })
      assert.equal(relaxed, undefined, `${name} may be gone without`)
      await bench.put(`${bench.under}${name}`, 'without', { features: { s3, relax: [name] } })
      assert.equal(await bench.text(`${bench.under}${name}`), 'without')
    }
    const features = { s3: { ACL: 'private' } }
    if (provider.refuseFeatures === undefined || provider.refuseFeatures(features) !== undefined) return
    await bench.put(`${bench.under}taken`, 'taken', { features })
    assert.equal(await bench.text(`${bench.under}taken`), 'taken')
  })

  check('a listing that tells entries tells those that are stored', async bench => {
    const { under } = bench
    await bench.put(`${under}with`, 'x', { metadata: { [entryName]: '1;what;stands;there' } })
    await bench.put(`${under}without`, 'x')
    for (const entry of await bench.list({})) {
      if (entry.type !== 'object' || entry.entry === undefined) continue
      assert.equal(entry.key, `${under}with`)
      assert.equal(entry.entry, '1;what;stands;there')
    }
  })
}

const samples: readonly (readonly [S3FeatureName, string])[] = [
  ['ACL', 'public-read'],
  ['StorageClass', 'OUTPOSTS'],
  ['ServerSideEncryption', 'aws:kms'],
  ['Tagging', 'who=%40'],
  ['Expires', 'Wed, 21 Oct 2026 07:28:00 GMT'],
]

function etagOf(bytes: Uint8Array, parts: readonly PartRun[]): string {
  const whole = createHash('md5')
  let count = 0
  for (const { start, end } of pieces(parts)) {
    whole.update(createHash('md5').update(bytes.subarray(start, end)).digest())
    count++
  }
  return `${whole.digest('hex')}-${count}`
}

async function holds(bench: Bench, key: string, bytes: Uint8Array): Promise<void> {
  const found = await bench.provider.get({ key, range: undefined, token: undefined }, bench.signal)
  assert.ok(found && (await bytesOf(found)).equals(bytes))
}
