import { S3Client } from '@aws-sdk/client-s3'
import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { Provider } from '../../src/core/provider.ts'
import { s3, type S3Options } from '../../src/providers/s3.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { type Call, callsOf, expectSame, keys, streamed } from './s3-calls.ts'
import {
  type Answer,
  amazonAt,
  byMethod,
  isOfSdk,
  named,
  ofObject,
  putOf,
  type Recorder,
  reply,
  secrets,
  startRecorder,
} from './s3-recorder.ts'

const { signal } = new AbortController()

/** Says the MD5 of what came. */
const stored: Answer = async (request, response, seen) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  seen.body = Buffer.concat(chunks)
  response.writeHead(200, { ...named, etag: `"${digestsOf(seen.body).md5}"`, 'content-length': '0' }).end()
}
const good = byMethod({
  PUT: stored,
  GET: (request, response, seen) =>
    (seen.headers.range === undefined
      ? reply(200, ofObject, 'hello')
      : reply(206, { ...ofObject, 'content-range': 'bytes 0-4/5' }, 'hello'))(request, response, seen),
  HEAD: reply(200, { ...ofObject, 'content-length': '5' }),
  DELETE: reply(204, named),
})

/** What is on the wire of a request, but for what differs between any two of them. The rest that may differ is named here, and why. */
function wireOf({ method, url, headers, body }: Recorder['requests'][number]): object {
  const { authorization = '', 'x-amz-date': date, ...rest } = headers
  expect(date).toMatch(/^\d{8}T\d{6}Z$/)
  const signed = /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=[0-9a-f]{64}$/.exec(authorization)
  expect(signed, authorization).not.toBeNull()
  const names = (signed?.[2] ?? '').split(';')
  const wire = Object.fromEntries(Object.entries(rest).filter(([name]) => name !== 'x-amz-user-agent'))
  return {
    method,
    // The SDK says the operation's name, which the method says already; services pass it over.
    url: url.replace(/\?x-id=(Put|Get|Delete)Object$/, ''),
    headers: {
      ...wire,
      // Marks of what the SDK was used for, from the request that was learnt from.
      'user-agent': headers['user-agent']?.replace(/ m\/\S*$/, ''),
    },
    by: signed?.[1],
    // The beginning of `user-agent` once more, for browsers.
    signedNames: names.filter(name => name !== 'x-amz-user-agent'),
    body: body?.toString('base64'),
  }
}

/** Both are asked for the same; the first has been shown the way. */
async function compare(
  open: (transport: 'auto' | 'sdk') => Promise<Provider>,
  server: Recorder,
  calls: readonly Call[],
): Promise<void> {
  const direct = await open('auto')
  await direct.put(putOf('first', 'hello'), signal)
  const bySdk = await open('sdk')
  for (const { what, run } of calls) {
    server.requests.length = 0
    const answers = [await run(direct, signal), await run(bySdk, signal)]
    expect(server.requests.map(isOfSdk), what).toEqual([false, true])
    const [ours, theirs] = server.requests.map(wireOf)
    expect(ours, what).toEqual(theirs)
    expect(answers[0], what).toEqual(answers[1])
  }
}

test.each(keys)('past the SDK, requests about %j are on the wire what the SDK would send', async key => {
  await using server = await startRecorder(good)
  await compare(transport => amazonAt(server.endpoint, { transport }), server, callsOf(key))
})

const conditional: readonly Call[] = [
  { what: 'replace', run: provider => provider.put(putOf('k', 'x', { condition: { token: 'abc' } }), signal) },
  { what: 'delete of one', run: provider => provider.delete('k', 'abc', signal) },
  {
    what: 'pinned get',
    run: provider => provider.get({ key: 'k', range: undefined, token: 'abc' }, signal).then(at => at?.close()),
  },
  streamed,
]

const ways: Record<string, Partial<S3Options>> = {
  'conditions, streams and a session': {},
  'credentials without a session': { credentials: { accessKeyId: 'AKIDWITHOUT', secretAccessKey: 'no session' } },
  'another region': { region: 'eu-west-7' },
  'a prefix': { prefix: 'tenant é/' },
}

test.each(Object.entries(ways))('so with %s', async (_what, more) => {
  await using server = await startRecorder(good)
  await compare(transport => amazonAt(server.endpoint, { ...more, transport }), server, conditional)
})

test('so with a client that the user brought', async () => {
  await using server = await startRecorder(good)
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: secrets,
    forcePathStyle: true,
  })
  const open = async (transport: 'auto' | 'sdk'): Promise<Provider> => {
    const provider = s3({ bucket: 'main', client, transport })
    await provider.learn((await amazonAt(server.endpoint)).capabilities, signal)
    return provider
  }
  await compare(open, server, [...callsOf('a b/ö'), ...conditional])
  client.destroy()
})

test('a server that checks signatures takes them all, and stores what was sent', async () => {
  await using cloud = await startLocalS3({ buckets: ['main'] })
  const credentials = { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret }
  const [direct, bySdk] = (['auto', 'sdk'] as const).map(transport =>
    s3({ bucket: 'main', endpoint: cloud.endpoint, credentials, transport, prefix: `${transport}/` }),
  ) as [Provider, Provider]
  await expectSame(direct, bySdk, signal)
})
