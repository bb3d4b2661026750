import { expect, test } from 'vitest'
import {
  checkComplete,
  checkId,
  checkNumber,
  checkPart,
  checkParts,
  checkPrefix,
  checkUpload,
} from '../../src/holdfast/uploads/check.ts'
import { memory } from '../../src/providers/memory.ts'

const providers = [memory({ name: 'a' }), memory({ name: 'b' })]
const throwing = (name: string) => Object.defineProperty({}, name, { enumerable: true, get: () => fail() })
const fail = () => {
  throw new Error('a getter of the caller')
}
const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()

function refused(work: () => unknown, field: string, rule: string): void {
  let error: unknown
  try {
    work()
  } catch (caught) {
    error = caught
  }
  expect(error, `${field}/${rule}`).toMatchObject({ code: 'INVALID', field, rule, outcome: 'rejected' })
}

test('what an upload is begun with is checked as the options of a put, and its checksum by what S3 knows', () => {
  const begin = (options: unknown) => () => checkUpload(options, providers)
  expect(begin(undefined)()).toMatchObject({
    attributes: { contentType: 'application/octet-stream' },
    features: undefined,
    checksum: undefined,
  })
  refused(begin({ expect: {} }), 'expect', 'unknown')
  refused(begin({ contentType: 1 }), 'contentType', 'type')
  refused(begin({ metadata: { 'a b': 'c' } }), 'metadata', 'name')
  for (const checksum of [null, 'CRC32', 1, [], revoked]) refused(begin({ checksum }), 'checksum', 'type')
  refused(begin({ checksum: throwing('algorithm') }), 'checksum', 'type')
  refused(begin({ checksum: { algorithm: 'CRC32', value: 'AAAAAA==' } }), 'checksum', 'unknown')
  refused(begin({ checksum: { algorithm: 'MD5' } }), 'checksum', 'value')
  refused(begin({ checksum: { algorithm: 'CRC32', type: 'HALF' } }), 'checksum', 'value')
  for (const [algorithm, type] of [
    ['SHA1', 'FULL_OBJECT'],
    ['SHA256', 'FULL_OBJECT'],
    ['CRC64NVME', 'COMPOSITE'],
  ])
    refused(begin({ checksum: { algorithm, type } }), 'checksum', 'algorithm')
  for (const [algorithm, type] of [
    ['SHA1', 'COMPOSITE'],
    ['CRC32C', 'COMPOSITE'],
    ['CRC64NVME', 'FULL_OBJECT'],
  ])
    expect(begin({ checksum: { algorithm } })().checksum).toEqual({ algorithm, type })
})

test('ids, numbers, prefixes and parts that are none are refused', () => {
  for (const id of [undefined, null, 1, {}]) refused(() => checkId(id), 'upload', 'type')
  for (const number of [0, 10_001, 1.5, Number.NaN]) refused(() => checkNumber(number), 'number', 'range')
  for (const number of ['1', undefined, null]) refused(() => checkNumber(number), 'number', 'type')
  refused(() => checkPrefix({ prefix: 1 }), 'prefix', 'type')
  refused(() => checkPart({ checksum: { algorithm: 'CRC32', value: 'x' } }), 'checksum', 'base64')
  refused(() => checkPart({ expect: { md5: 'x' } }), 'expect', 'hex')
})

test('a list of parts is checked whole: what it is, how many, their order', () => {
  for (const parts of [undefined, null, 1, {}, 'parts']) refused(() => checkParts(parts), 'parts', 'type')
  refused(() => checkParts([revoked]), 'parts', 'type')
  refused(() => checkParts([]), 'parts', 'count')
  refused(() => checkParts(Array.from({ length: 10_001 }, (_, i) => ({ number: i + 1 }))), 'parts', 'count')
  refused(() => checkParts(Object.assign([], { length: 4_294_967_295 })), 'parts', 'count')
  // oxlint-disable-next-line no-sparse-arrays
  refused(() => checkParts([, { number: 1 }]), 'parts', 'type')
  refused(() => checkParts([throwing('number')]), 'parts', 'type')
  refused(() => checkParts([{ number: 1, etag: 1 }]), 'etag', 'type')
  refused(() => checkParts([{ number: 2 }, { number: 2 }]), 'parts', 'order')
  expect(checkParts([{ number: 1, etag: '"ABC"' }, { number: 9 }])).toEqual([
    { number: 1, etag: 'abc' },
    { number: 9, etag: undefined },
  ])
})

test('what must hold of the whole is checked', () => {
  for (const expected of [null, 1, 'x', [], revoked])
    refused(() => checkComplete({ expect: expected }), 'expect', 'type')
  refused(() => checkComplete({ expect: { md5: 'x' } }), 'expect', 'unknown')
  refused(() => checkComplete({ expect: { size: -1 } }), 'size', 'range')
  refused(() => checkComplete({ expect: { checksum: 1 } }), 'expect', 'type')
  refused(() => checkComplete({ if: 'present' }), 'if', 'type')
  refused(() => checkComplete({ ack: 'some' }), 'ack', 'value')
})
