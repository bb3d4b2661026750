import { createHash } from 'node:crypto'
import type { PutRequest, RemoteObject } from '../../core/provider.ts'
import { tagPairs } from '../features.ts'
import { ask, type Target } from './call.ts'

type Head = (key: string, signal: AbortSignal) => Promise<RemoteObject | undefined>

/**
 * Sees to the tags of an object that went up in parts. Amazon keeps those that came when the upload was begun; Ceph 16 takes them, and
 * forgets them (test/providers/s3-rgw.test.ts). So elsewhere the object is looked at, and tagged where it is still this one and its tags
 * are not all there.
 */
export async function keepTags(
  target: Target,
  head: Head,
  { key, features }: PutRequest,
  token: string,
  signal: AbortSignal,
): Promise<void> {
  const tags = tagPairs(features?.s3?.Tagging ?? '')
  if (tags === undefined || tags.length === 0) return
  const found = await head(key, signal)
  if (found?.token !== token || found.tagCount === tags.length) return
  const TagSet = tags.map(([Key, Value]) => ({ Key, Value }))
  const command = new target.sdk.PutObjectTaggingCommand({ Bucket: target.bucket, Key: key, Tagging: { TagSet } })
  command.middlewareStack.add(
    next => args => {
      const request = args.request as { body?: unknown; headers: Record<string, string> }
      // S3 wants one of the document, and the SDK's own checksums are switched off.
      request.headers['content-md5'] = createHash('md5').update(String(request.body)).digest('base64')
      return next(args)
    },
    { name: 'holdfastDigest', step: 'build', priority: 'low' },
  )
  // Its answer is empty: where answers have no names, there is nothing to tell it by.
  const asking = { call: 'put of tags', key, writes: true, speaks: () => true } as const
  const { refused } = await ask(target, command, asking, signal)
  if (refused !== undefined) throw refused.error
}
