import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CompleteMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { commands, decide } from '../../src/s3-client/commands.ts'
import { fields } from '../../src/s3-client/fields.ts'
import { judge } from '../../src/s3-client/judge.ts'
import { membersOf, nameOf } from '../../src/s3-client/schema.ts'
import { root } from '../house/sources.ts'
import { differences, operations } from './schemas.ts'
import { fieldsPage, pagePath } from './fields-page.ts'

// The tables against the SDK's own schemas: a new version of it fails here until somebody has decided.

const found = operations()

describe('the tables and the SDK', () => {
  test('every command has a decision, every field of a handled command has a row, and no row is about nothing', () => {
    expect(found.length).toBeGreaterThan(100)
    expect(Object.keys(fields)).toHaveLength(16)
    expect(differences(found, fields, commands)).toEqual([])
  })

  test('a command, a field and a field inside a field that a newer SDK brings are found', () => {
    const newer = found.map(({ name, members }) => {
      if (name === 'PutObject') return { name, members: [...members, 'Sparkle'] }
      if (name === 'DeleteObjects') return { name, members: [...members, 'Delete.Objects.Sparkle'] }
      return { name, members }
    })
    const planted = [...newer.filter(({ name }) => name !== 'HeadBucket'), { name: 'PolishObject', members: ['Key'] }]
    expect(differences(planted, fields, commands)).toEqual([
      'PolishObject: no decision',
      'HeadBucket: the SDK has no such command',
      'DeleteObjects.Delete.Objects.Sparkle: no row',
      'PutObject.Sparkle: no row',
    ])
  })

  test('a row that went missing, and one too many, are found', () => {
    const { ACL: _, ...rest } = fields.PutObject
    const changed = { ...fields, PutObject: { ...rest, Sparkle: fields.PutObject['Key'] } }
    expect(differences(found, changed, commands)).toEqual([
      'PutObject.ACL: no row',
      'PutObject.Sparkle: the SDK has no such field',
    ])
  })

  test('a command whose input has a key, or objects, never passes for one that touches no object', () => {
    const wrong = found.filter(({ name, members }) => {
      const decision = decide(name, false)
      const touches = members.some(member => /^(Key|Delete\.Objects)$/.test(member))
      return touches && decision.go === 'pass' && decision.note === 'Touches no object.'
    })
    expect(wrong).toEqual([])
  })

  test('the page in the docs is what the tables say', () => {
    const page = readFileSync(join(root, pagePath), 'utf8')
    expect(page, `make it again: node test/s3-client/write-fields-page.ts`).toBe(fieldsPage())
  })
})

describe('a command', () => {
  test('is known by its schema, whatever a minifier calls its class', () => {
    const minified = class a extends PutObjectCommand {}
    expect(nameOf(new minified({ Bucket: 'b', Key: 'k' }))).toBe('PutObject')
  })

  test('of an SDK without schemas is known by its class', () => {
    class PutObjectCommand {
      readonly input = {}
    }
    const command = new PutObjectCommand()
    expect(nameOf(command)).toBe('PutObject')
    expect(membersOf(command)).toBeUndefined()
  })

  test('that nobody decided is refused if it names a key, and passes if not', () => {
    expect(decide('PolishObject', true)).toMatchObject({ go: 'refused' })
    expect(decide('PolishBucket', false)).toMatchObject({ go: 'pass' })
    expect(decide('constructor', true)).toMatchObject({ go: 'refused' })
  })

  test('that would change one copy past the journal is refused, and says what to do instead', () => {
    for (const name of ['PutObjectAcl', 'PutObjectTagging', 'DeleteObjectTagging', 'RenameObject']) {
      expect(decide(name, true)).toMatchObject({
        go: 'refused',
        why: expect.stringMatching(/past the journal: .*Copy/),
      })
    }
  })
})

describe('a call', () => {
  const put = membersOf(new PutObjectCommand({ Bucket: 'b', Key: 'k' }))

  test('with fields that mean here what they mean to S3 is answered here', () => {
    const input = { Bucket: 'b', Key: 'k', Body: 'x', ContentType: 'text/plain', ACL: 'public-read', Tagging: 'a=1' }
    expect(judge('PutObject', Object.freeze(input), [], put)).toEqual({ go: 'here' })
  })

  test('with a field that is refused names it, and says whether it can be relaxed', () => {
    expect(judge('PutObject', { Key: 'k', ExpectedBucketOwner: '1' }, [], put)).toMatchObject({
      refused: 'ExpectedBucketOwner',
      canRelax: true,
    })
    expect(judge('PutObject', { Key: 'k', ExpectedBucketOwner: '1' }, ['ExpectedBucketOwner'], put)).toEqual({
      go: 'here',
    })
    for (const relax of [[], ['SSECustomerKey']]) {
      expect(judge('PutObject', { Key: 'k', SSECustomerKey: 'x' }, relax, put)).toMatchObject({
        refused: 'SSECustomerKey',
        canRelax: false,
      })
    }
  })

  test('fields without a value are not there', () => {
    const input = { Bucket: 'b', Key: 'k', SSECustomerKey: undefined, VersionId: undefined, MFA: null }
    expect(judge('DeleteObject', input, [])).toEqual({ go: 'here' })
  })

  test('with a field that the SDK sends and this version does not know is refused, reads too', () => {
    const newer = new Set([...(put ?? []), 'Sparkle'])
    expect(judge('PutObject', { Key: 'k', Sparkle: 'x' }, [], newer)).toMatchObject({
      refused: 'Sparkle',
      canRelax: false,
    })
    expect(judge('GetObject', { Key: 'k', Sparkle: 'x' }, ['Sparkle'], newer)).toMatchObject({ refused: 'Sparkle' })
    expect(judge('GetObject', { Key: 'k', constructor: 'x' }, [], new Set(['constructor']))).toMatchObject({
      refused: 'constructor',
    })
  })

  test('with a field that the SDK does not know of this command either is answered here: it would not be sent', () => {
    const members = membersOf(new UploadPartCommand({ Bucket: 'b', Key: 'k', PartNumber: 1, UploadId: 'u' }))
    const asUploadSpreads = { Key: 'k', PartNumber: 1, UploadId: 'u', ContentType: 'text/plain', ACL: 'private' }
    expect(judge('UploadPart', asUploadSpreads, [], members)).toEqual({ go: 'here' })
  })

  test('a read of a version goes to the bucket that keeps versions, with whatever else it says', () => {
    const members = membersOf(new GetObjectCommand({ Bucket: 'b', Key: 'k' }))
    expect(judge('GetObject', { Key: 'k', ExpectedBucketOwner: '1', VersionId: 'v' }, [], members)).toEqual({
      go: 'primary',
    })
  })

  test('is judged inside its lists and structures too', () => {
    const members = membersOf(new DeleteObjectsCommand({ Bucket: 'b', Delete: { Objects: [] } }))
    const of = (...Objects: object[]) => judge('DeleteObjects', { Bucket: 'b', Delete: { Objects } }, [], members)
    expect(of({ Key: 'a' }, { Key: 'b', ETag: 'x' })).toEqual({ go: 'here' })
    expect(of({ Key: 'a' }, { Key: 'b', VersionId: 'v' })).toMatchObject({ refused: 'Delete.Objects.VersionId' })
    const parts = membersOf(new CompleteMultipartUploadCommand({ Bucket: 'b', Key: 'k', UploadId: 'u' }))
    const input = { Key: 'k', MultipartUpload: { Parts: [{ PartNumber: 1, ETag: 'x', ChecksumMD5: 'x' }] } }
    expect(judge('CompleteMultipartUpload', input, [], parts)).toMatchObject({
      refused: 'MultipartUpload.Parts.ChecksumMD5',
    })
    expect(judge('PutObject', { Key: 'k', Metadata: { VersionId: 'v', Sparkle: 'x' } }, [], put)).toEqual({
      go: 'here',
    })
  })

  test('with a value that means nothing is taken, with another of the same field refused', () => {
    expect(judge('DeleteObject', { Key: 'k', BypassGovernanceRetention: false }, [])).toEqual({ go: 'here' })
    expect(judge('DeleteObject', { Key: 'k', BypassGovernanceRetention: true }, [])).toMatchObject({ canRelax: false })
    expect(judge('ListObjectsV2', { FetchOwner: true }, [])).toMatchObject({ refused: 'FetchOwner', canRelax: true })
    expect(judge('ListObjectsV2', { FetchOwner: true }, ['FetchOwner'])).toEqual({ go: 'here' })
    expect(judge('PutObject', { Key: 'k', ChecksumAlgorithm: 'CRC32' }, [], put)).toEqual({ go: 'here' })
    expect(judge('PutObject', { Key: 'k', ChecksumAlgorithm: 'XXHASH3' }, [], put)).toMatchObject({
      refused: 'ChecksumAlgorithm',
    })
  })
})
