import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { request as ask } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BlobServiceClient } from '@azure/storage-blob'
import { expect } from 'vitest'
import { encodeKey } from '../../src/core/encode.ts'
import { compareKeys } from '../../src/core/key.ts'
import type { Provider } from '../../src/core/provider.ts'
import { azure } from '../../src/providers/azure.ts'
import { fs } from '../../src/providers/fs.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { s3 } from '../../src/providers/s3.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { someKeys } from '../core/keys.ts'
import { startAzurite } from '../servers/azurite.ts'
import { bodyAt } from '../support/store.ts'
import { startRecorder } from './azure-recorder.ts'
import { putOf } from './s3-recorder.ts'

const never = new AbortController().signal
/** Several at a time, as a store would send them. */
const atOnce = 8
const tenant = 'tenants/anna/'

/** Where a service is, and how the name of an object is read off a request of it: `undefined` for requests that are about none. */
interface Wire extends AsyncDisposable {
  readonly provider: Provider
  /** Every request since the last call: as on the wire, without host. */
  urls(): Promise<readonly string[]>
  nameOn(path: string, query: URLSearchParams): string | undefined
}

async function s3Wire(): Promise<Wire> {
  const cloud = await startLocalS3({ buckets: ['main'] })
  const { id, secret } = cloud.credentials
  return {
    provider: s3({
      bucket: 'main',
      endpoint: cloud.endpoint,
      credentials: { accessKeyId: id, secretAccessKey: secret },
    }),
    urls: async () => (await cloud.requests({ reset: true })).map(({ url }) => url),
    nameOn: path => after('/main/', path),
    [Symbol.asyncDispose]: () => cloud.stop(),
  }
}

async function gcsWire(): Promise<Wire> {
  const cloud = await startLocalGcs({ buckets: ['main'] })
  return {
    provider: gcs({ bucket: 'main', apiEndpoint: cloud.endpoint, projectId: 'test' }),
    urls: async () => (await cloud.requests({ reset: true })).map(({ url }) => url),
    nameOn(path, query) {
      if (path.startsWith('/upload/')) return query.get('name') ?? undefined
      const inPath = /^(?:\/download)?\/storage\/v1\/b\/main\/o\/([^/]+)$/.exec(path)
      return inPath?.[1]
    },
    [Symbol.asyncDispose]: () => cloud.stop(),
  }
}

/** The emulator behind a server that writes down what passes. */
async function azureWire(): Promise<Wire> {
  const azurite = await startAzurite()
  await BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient('main').create()
  const { accountName, accountKey } = azurite
  const recorder = await startRecorder((request, response) => {
    const { method, url, headers } = request
    const passed = ask({ host: '127.0.0.1', port: azurite.port, method, path: url, headers }, answer => {
      response.writeHead(answer.statusCode ?? 500, answer.rawHeaders)
      answer.pipe(response)
    })
    request.pipe(passed)
  })
  const endpoint = recorder.endpoint.replace(/\/account$/, `/${accountName}`)
  return {
    provider: azure({ container: 'main', endpoint, accountName, accountKey }),
    urls: async () => recorder.requests.splice(0).map(({ url }) => url),
    nameOn: path => after(`/${accountName}/main/`, path),
    async [Symbol.asyncDispose]() {
      await recorder[Symbol.asyncDispose]()
      await azurite.stop()
    },
  }
}

function after(base: string, path: string): string | undefined {
  return path.startsWith(base) && path.length > base.length ? path.slice(base.length) : undefined
}

export const wires: Readonly<Record<string, () => Promise<Wire>>> = { s3: s3Wire, gcs: gcsWire, azure: azureWire }

/**
 * Stores objects of adversarial keys, half of them in the bucket and half under a prefix, reads them back, and looks at every request that was
 * sent: its path, as it is and as a URL parser makes it, has to say the name and nothing else. Answers how many names were sent.
 */
export async function checkWire(what: string, seed: number, count: number): Promise<number> {
  await using wire = await (wires[what] as () => Promise<Wire>)()
  const inside = prefixed(wire.provider, tenant)
  await wire.provider.learn(undefined, never)
  await wire.urls()
  const keys = someKeys(seed, count)
  const half = Math.ceil(keys.length / 2)
  let sent = 0
  for (const [provider, base, own] of [
    [wire.provider, '', keys.slice(0, half)],
    [inside, tenant, keys.slice(half)],
  ] as const) {
    const names = own.map(encodeKey).filter(name => provider.refuseKey(name)?.rule !== 'length')
    for (let at = 0; at < names.length; at += atOnce) {
      await Promise.all(names.slice(at, at + atOnce).map(name => roundTrip(provider, name)))
    }
    const said = new Set<string>()
    for (const url of await wire.urls()) {
      const { pathname, searchParams } = new URL(url, 'http://host')
      // What a proxy on the way makes of it, and what the service sees if none is there.
      const seen = [pathname, url.split('?')[0] ?? ''].map(path => wire.nameOn(path, searchParams))
      for (const each of seen) {
        if (each === undefined) continue
        const isInQuery = searchParams.get('name') === each
        said.add(isInQuery ? each : decodeURIComponent(each))
      }
    }
    const expected = names.map(name => base + name)
    expect(
      [...said].filter(name => !expected.includes(name)),
      'names that nobody asked for',
    ).toEqual([])
    expect(
      expected.filter(name => !said.has(name)),
      'names that are not on the wire',
    ).toEqual([])
    const listed: string[] = []
    for await (const entry of provider.list({ prefix: '', delimiter: '', startAfter: '' }, never)) {
      if (entry.type === 'object' && !entry.key.startsWith('.holdfast/')) listed.push(entry.key)
    }
    expect(listed.filter(name => base !== '' || !name.startsWith(tenant))).toEqual(names.toSorted(compareKeys))
    await wire.urls()
    sent += names.length
  }
  return sent
}

async function roundTrip(provider: Provider, name: string): Promise<void> {
  await provider.put(putOf(name, name), never)
  expect((await provider.head(name, never))?.key).toBe(name)
  expect((await bodyAt(provider, name))?.toString()).toBe(name)
}

/** The same on a file system: every file is below the root, and is found again. */
export async function checkFiles(seed: number, count: number): Promise<number> {
  const parent = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-names-'))
  try {
    await mkdir(join(parent, 'root'))
    const provider = fs({ root: join(parent, 'root') })
    await provider.learn(undefined, never)
    const names = someKeys(seed, count)
      .map(encodeKey)
      .filter(name => provider.refuseKey(name) === undefined)
    for (const name of names) await roundTrip(provider, name)
    expect(await readdir(parent)).toEqual(['root'])
    const listed: string[] = []
    for await (const entry of provider.list({ prefix: '', delimiter: '', startAfter: '' }, never)) {
      if (entry.type === 'object') listed.push(entry.key)
    }
    expect(listed).toEqual(names.toSorted(compareKeys))
    return names.length
  } finally {
    await rm(parent, { recursive: true, force: true })
  }
}
