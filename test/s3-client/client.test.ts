import {
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  S3,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withHoldfast } from '../../src/s3-client/index.ts'
import type { Related, Stack } from '../../src/s3-client/stack.ts'
import { bucket, configOf, other, refusal, startWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const text = async (client: S3, Key: string, Bucket = bucket) =>
  (await client.getObject({ Bucket, Key })).Body?.transformToString()

describe('the wrapped client is the client', () => {
  test('by its class, its config, its stack, and what is set on it', () => {
    const plain = world.client()
    const wrapped = withHoldfast(plain, { [bucket]: world.store })
    expect(wrapped).toBeInstanceOf(S3Client)
    expect(wrapped).toBeInstanceOf(S3)
    expect(wrapped.config).toBe(plain.config)
    expect(wrapped.middlewareStack).toBe(plain.middlewareStack)
    expect(() => wrapped.destroy()).not.toThrow()
  })

  test('what is sent by promise, by both callback forms and by the methods of an aggregated client is answered alike', async () => {
    const client = world.s3 as unknown as S3Client
    const input = { Bucket: bucket, Key: 'forms', Body: 'x' }
    const put = () => new PutObjectCommand(input)
    const { $metadata: _, ...byPromise } = await client.send(put())
    const answers = await Promise.all([
      new Promise((resolve, reject) => client.send(put(), (error, out) => (error ? reject(error) : resolve(out)))),
      new Promise((resolve, reject) =>
        client.send<PutObjectCommandInput, PutObjectCommandOutput>(put(), {}, (error, out) =>
          error ? reject(error) : resolve(out),
        ),
      ),
      world.s3.putObject(input),
      new Promise((resolve, reject) =>
        world.s3.putObject(input, (error: unknown, out?: PutObjectCommandOutput) =>
          error ? reject(error) : resolve(out),
        ),
      ),
      new Promise((resolve, reject) =>
        world.s3.putObject(input, {}, (error: unknown, out?: PutObjectCommandOutput) =>
          error ? reject(error) : resolve(out),
        ),
      ),
    ])
    for (const answer of answers) expect(answer).toMatchObject(byPromise)
    const failed = await new Promise(resolve =>
      world.s3.getObject({ Bucket: bucket, Key: 'none' }, error => resolve(error)),
    )
    expect(failed).toMatchObject({ name: 'NoSuchKey' })
  })

  test('a command may be sent twice, and is left as it was, frozen input and all', async () => {
    const input = Object.freeze({ Bucket: bucket, Key: 'twice', Body: 'x', Metadata: Object.freeze({ A: 'b' }) })
    const command = new PutObjectCommand(input)
    Object.freeze(command.input)
    await world.s3.send(command)
    const names = command.middlewareStack.identify()
    await world.s3.send(command)
    expect(command.input).toEqual(input)
    expect(command.middlewareStack.identify().filter(name => /anonymous/.test(name))).toEqual([])
    expect(command.middlewareStack.identify()).toEqual(names)
    expect(Object.getOwnPropertyNames(command)).not.toContain('resolveMiddleware')
  })

  test('other buckets, and commands that touch no object, go where they went', async () => {
    const before = world.client().middlewareStack.identify()
    await world.s3.putObject(Object.freeze({ Bucket: other, Key: 'k', Body: 'there' }))
    expect(await text(world.plain, 'k', other)).toBe('there')
    expect(await text(world.s3, 'k', other)).toBe('there')
    expect(await world.store.head('k')).toBeUndefined()
    expect((await world.s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toContain(bucket)
    expect((await world.s3.send(new HeadBucketCommand({ Bucket: bucket }))).$metadata.httpStatusCode).toBe(200)
    expect(world.s3.middlewareStack.identify()).toEqual(before)
  })

  test('wrapping again adds a bucket; another store for the same is refused', async () => {
    await using second = await startWorld()
    const twice = withHoldfast(world.s3, { [other]: second.store })
    await twice.putObject({ Bucket: bucket, Key: 'a', Body: 'first store' })
    await twice.putObject({ Bucket: other, Key: 'b', Body: 'second store' })
    expect(await (await world.store.get('a'))?.text()).toBe('first store')
    expect(await (await second.store.get('b'))?.text()).toBe('second store')
    expect(await text(twice, 'a')).toBe('first store')
    expect(() => withHoldfast(twice, { [bucket]: second.store })).toThrow(
      expect.objectContaining({ field: 'buckets', rule: 'taken' }),
    )
  })

  test('a signed URL is for the client’s own bucket, and signing writes nothing and asks nobody', async () => {
    await world.store.drain({ until: 'verified' })
    const { accepted } = await world.store.status()
    await world.first.requests({ reset: true })
    const url = await getSignedUrl(world.s3, new PutObjectCommand({ Bucket: bucket, Key: 'signed', Body: 'never' }))
    expect(url.startsWith(`${world.first.endpoint}/${bucket}/signed?`)).toBe(true)
    expect((await world.store.status()).accepted).toBe(accepted)
    expect((await world.first.requests()).filter(({ key }) => key === 'signed')).toEqual([])
    expect(await world.store.head('signed')).toBeUndefined()
  })
})

describe('the middleware of the app', () => {
  test('runs once for what is answered here and for what passes, on the client and on the command, and may rewrite the key', async () => {
    const client = world.client()
    const s3 = withHoldfast(client, { [bucket]: world.store })
    const seen: string[] = []
    client.middlewareStack.add(
      next => async args => {
        seen.push('client')
        const input = args.input as { Key?: string }
        return next({ ...args, input: { ...args.input, Key: `tenant/${input.Key}` } as typeof args.input })
      },
      { step: 'initialize', priority: 'low' },
    )
    for (const Bucket of [bucket, other]) {
      const command = new PutObjectCommand({ Bucket, Key: 'rewritten', Body: 'x' })
      command.middlewareStack.add(
        next => async args => {
          seen.push('command')
          return next({ ...args, input: { ...args.input, Body: 'changed' } })
        },
        { step: 'initialize', priority: 'low' },
      )
      await s3.send(command)
      expect(seen.splice(0)).toEqual(['client', 'command'])
    }
    expect(await (await world.store.get('tenant/rewritten'))?.text()).toBe('changed')
    expect(await text(world.plain, 'tenant/rewritten', other)).toBe('changed')
  })

  test('may veto, may move a command to another bucket, and may stand beside another', async () => {
    const client = world.client()
    const s3 = withHoldfast(client, { [bucket]: world.store })
    client.middlewareStack.add(
      next => async args => {
        const input = args.input as { Key?: string; Bucket?: string }
        if (input.Key === 'forbidden') throw new Error('vetoed')
        return next(
          input.Bucket === 'alias' ? { ...args, input: { ...args.input, Bucket: bucket } as typeof args.input } : args,
        )
      },
      { step: 'initialize', name: 'app' },
    )
    const order: string[] = []
    const stack = client.middlewareStack as unknown as Stack
    stack.addRelativeTo(
      next => async args => {
        order.push('beside')
        return await next(args)
      },
      { relation: 'before', toMiddleware: 'app', name: 'beside' } as Related,
    )
    expect((await refusal(s3.putObject({ Bucket: bucket, Key: 'forbidden', Body: 'x' }))).message).toBe('vetoed')
    expect(await world.store.head('forbidden')).toBeUndefined()
    await s3.putObject({ Bucket: 'alias', Key: 'by-alias', Body: 'x' })
    expect(await (await world.store.get('by-alias'))?.text()).toBe('x')
    expect(order).toEqual(['beside', 'beside'])
  })
})

describe('a signal', () => {
  test('that is aborted ends a call as the SDK ends it, Node’s own and the older kind', async () => {
    const native = AbortSignal.abort()
    const older = { aborted: true, onabort: null }
    for (const abortSignal of [native, older]) {
      const error = await refusal(
        world.s3.send(new GetObjectCommand({ Bucket: bucket, Key: 'forms' }), { abortSignal }),
      )
      expect(error).toMatchObject({ name: 'AbortError', message: 'Request aborted' })
      expect(error).not.toBeInstanceOf(S3ServiceException)
    }
  })

  test('that aborts while the body is read stores nothing', async () => {
    const control = new AbortController()
    async function* slowly() {
      yield Buffer.from('x')
      control.abort()
      await new Promise(resolve => setTimeout(resolve, 1_000))
      yield Buffer.from('y')
    }
    const { Readable } = await import('node:stream')
    const Body = Readable.from(slowly(), { objectMode: false })
    const put = world.s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'aborted', Body }), {
      abortSignal: control.signal,
    })
    expect((await refusal(put)).name).toBe('AbortError')
    expect(await world.store.head('aborted')).toBeUndefined()
  })
})

describe('what is no client, no store, no option', () => {
  test.each([
    ['no client', () => withHoldfast({} as S3, { [bucket]: world.store }), TypeError],
    ['no buckets', () => withHoldfast(world.plain, undefined as never), TypeError],
    ['no store', () => withHoldfast(world.plain, { [bucket]: {} as never }), TypeError],
    [
      'a promise of one',
      () => withHoldfast(world.plain, { [bucket]: Promise.resolve(world.store) as never }),
      /await it/,
    ],
    ['none named', () => withHoldfast(world.plain, {}), /buckets is empty/],
    ['an ARN', () => withHoldfast(world.plain, { 'arn:aws:s3:::photos': world.store }), /no name of a bucket/],
    [
      'an unknown option',
      () => withHoldfast(world.plain, { [bucket]: world.store }, { multiPart: 'local' } as never),
      /multipart/,
    ],
    [
      'an unknown way',
      () => withHoldfast(world.plain, { [bucket]: world.store }, { multipart: 'cloud' } as never),
      /"local"/,
    ],
    [
      'an unknown field',
      () => withHoldfast(world.plain, { [bucket]: world.store }, { relax: ['RequestPayed'] }),
      /RequestPayer/,
    ],
    [
      'a field without its list',
      () => withHoldfast(world.plain, { [bucket]: world.store }, { relax: 'Tagging' } as never),
      /relax must be an array of field names, got "Tagging"/,
    ],
    [
      'a list of something else',
      () => withHoldfast(world.plain, { [bucket]: world.store }, { relax: [7] } as never),
      /relax must name fields, got 7/,
    ],
  ] as const)('%s is refused', (_, wrap, error) => {
    expect(wrap).toThrow(error)
  })
})

test('a field that cannot be kept is refused before anything happens, and says what to do', async () => {
  const input = { Bucket: bucket, Key: 'payer', Body: 'x', RequestPayer: 'requester' } as const
  const error = await refusal(world.s3.putObject(input))
  expect(error).toBeInstanceOf(S3ServiceException)
  expect(error).toMatchObject({ name: 'NotImplemented', $metadata: { httpStatusCode: 501 } })
  expect(error.message).toMatch(/RequestPayer.*relax: \['RequestPayer'\]/)
  const relaxed = withHoldfast(world.client(), { [bucket]: world.store }, { relax: ['RequestPayer'] })
  await relaxed.putObject(input)
  expect(await text(world.s3, 'payer')).toBe('x')
  expect(
    (await refusal(world.s3.putObjectTagging({ Bucket: bucket, Key: 'payer', Tagging: { TagSet: [] } }))).name,
  ).toBe('NotImplemented')
})

test('a client of another copy of the SDK, or of a bundle that renamed its classes, is known by what it has', async () => {
  class q extends PutObjectCommand {}
  await world.s3.send(new q({ Bucket: bucket, Key: 'renamed', Body: 'x' }))
  expect(await (await world.store.get('renamed'))?.text()).toBe('x')
  expect(configOf(world.first).endpoint).toBe(world.first.endpoint)
})

test('a command that says no name, and names a key, is refused: it may be a write', async () => {
  const real = new PutObjectCommand({ Bucket: bucket, Key: 'unnamed', Body: 'x' })
  class c {
    readonly input = real.input
    resolveMiddleware(stack: Concatenable, config: never, options: never): unknown {
      const nameless: Concatenable = {
        concat: other => ({ resolve: handler => stack.concat(other).resolve(handler, {}) }),
      }
      return real.resolveMiddleware(nameless as never, config, options)
    }
  }
  expect(await refusal(world.s3.send(new c() as unknown as PutObjectCommand))).toMatchObject({ name: 'NotImplemented' })
  expect(await refusal(world.plain.headObject({ Bucket: bucket, Key: 'unnamed' }))).toMatchObject({ name: 'NotFound' })
})

interface Concatenable {
  concat(other: unknown): { resolve(handler: unknown, context: object): unknown }
}
