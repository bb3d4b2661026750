import { type ChildProcess, fork } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { BlobServiceClient } from '@azure/storage-blob'
import { expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import { unpackMetadata } from '../../src/core/attributes.ts'
import { markerAt } from '../../src/core/marker.ts'
import type { Provider } from '../../src/core/provider.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { startAzurite } from '../servers/azurite.ts'
import { checkDirectory } from '../support/directory.ts'
import { startClouds } from '../support/clouds.ts'
import { keysOf } from '../support/store.ts'
import { bodyFor } from '../kill/body.ts'
import { container, type Duty, type Places, threeProviders, type Told } from './kill-child.ts'

const seconds = Number(process.env['HOLDFAST_CONVERGE_SECONDS'] ?? 90)

/** A slow machine takes longer, and gets as far. */
const leastKills = 20
const leastWrites = 200

/** Who writes where: two processes share a directory, two have one each. */
const writers = ['shared', 'shared', 'own-1', 'own-2'] as const
const directories = [...new Set(writers)]

test(
  `four processes on three directories write the same keys to S3, GCS and Azure and are killed for ${seconds} s: all end equal, with every write that was acknowledged or a newer one (I1, I10, I12, I13, I23)`,
  async () => {
    const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 24))
    console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats the moments`)
    const random = seededRandom(seed).number
    const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-converge-'))
    await using clouds = await startClouds()
    await using azurite = await startAzurite()
    await BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient(container).create()
    const places: Places = { ...clouds.clouds, azure: { connectionString: azurite.connectionString } }
    const newest = new Map<string, { readonly version: string; readonly seed: string | undefined }>()
    const failures: string[] = []
    const count = { kills: 0, writes: 0, deletes: 0, reads: 0, outages: 0, repaired: 0, left: 0, done: 0 }
    const listen = (told: Told) => {
      if (told.type === 'failed') failures.push(told.message)
      if (told.type === 'read') count.reads++
      if (told.type === 'done') count.done++
      if (told.type === 'reconciled') {
        count.repaired += told.queued
        count.left += told.left
      }
      if (told.type !== 'write') return
      if (told.seed === undefined) count.deletes++
      else count.writes++
      if ((newest.get(told.key)?.version ?? '') < told.version) newest.set(told.key, told)
    }
    let lives = 0
    const begin = (where: string, duty: Duty) =>
      start([join(root, where), JSON.stringify(places), duty, String(lives++)], listen)

    // One meets the empty buckets first: it gives them their identity, as a deployment does.
    await begin('shared', 'drain').ended
    const end = Date.now() + seconds * 1000
    const alive = writers.map(where => begin(where, 'work'))
    await Promise.all([livesAndDeaths(), outages()])
    for (const { process } of alive) process.kill('SIGKILL')
    await Promise.all(alive.map(({ ended }) => ended))

    await Promise.all(directories.map(where => begin(where, 'drain').ended))
    await begin('own-1', 'reconcile').ended
    const differences = await differencesBetween(threeProviders(places), newest)
    console.log(JSON.stringify({ seconds, ...count, keys: newest.size }))
    expect(failures).toEqual([])
    expect(differences).toEqual([])
    expect(count.done, 'processes that came to their own end').toBe(directories.length + 2)
    expect(count.left, 'differences that a second reconcile found').toBe(0)
    for (const where of directories) await checkDirectory(join(root, where), { orphans: 'allowed' })
    await rm(root, { recursive: true, force: true })

    async function livesAndDeaths() {
      while (Date.now() < end || count.kills < leastKills || count.writes < leastWrites) {
        await wait(200 + random() * 1_200)
        const at = Math.floor(random() * alive.length)
        const victim = alive[at]
        if (victim === undefined || !victim.isReady()) continue
        victim.process.kill('SIGKILL')
        count.kills++
        await victim.ended
        alive[at] = begin(writers[at] ?? 'shared', 'work')
      }
    }

    async function outages() {
      while (Date.now() < end - 5_000) {
        const cloud = random() < 0.5 ? clouds.s3 : clouds.gcs
        await cloud.fault({ fault: random() < 0.5 ? { kind: 'stall' } : { kind: 'reset' } })
        count.outages++
        await wait(500 + random() * 2_500)
        await cloud.heal()
        await wait(2_000 + random() * 3_000)
      }
    }
  },
  (2 * seconds + 300) * 1000,
)

/** What is not as it should be, in words: at every provider the newest write that was told of, or a newer one, whole, and everywhere the same. */
async function differencesBetween(
  providers: readonly Provider[],
  newest: ReadonlyMap<string, { readonly version: string; readonly seed: string | undefined }>,
): Promise<string[]> {
  const wrong: string[] = []
  const listed = await Promise.all(providers.map(keysOf))
  for (const key of new Set([...newest.keys(), ...listed.flat()])) {
    const told = newest.get(key)
    const found = await Promise.all(providers.map(provider => contentOf(provider, key)))
    const texts = found.map(content => JSON.stringify(content?.told))
    if (new Set(texts).size > 1) wrong.push(`${key}: ${texts.join(' and ')} (I10)`)
    for (const [index, content] of found.entries()) {
      const at = `${key} at ${providers[index]?.name}`
      if (content === undefined) {
        // Deleted last, or by somebody who was killed before the parent heard of it: then the others must agree, which is asked above.
        continue
      }
      const { version, seed } = content.told
      if (version < (told?.version ?? ''))
        wrong.push(`${at}: has ${version}, ${told?.version} was acknowledged (I12, I13)`)
      if (version === told?.version && seed !== told.seed) wrong.push(`${at}: ${version} has the body of ${seed}`)
      if (!content.isWhole) wrong.push(`${at}: ${version} has other bytes than its own`)
    }
    const isMarked = told?.seed === undefined || found.some(content => content !== undefined)
    if (!isMarked && !(await isDeletedAfter(providers, key, told.version)))
      wrong.push(`${key}: ${told.version} is gone, and nothing newer deleted it (I1)`)
  }
  return wrong
}

async function isDeletedAfter(providers: readonly Provider[], key: string, version: string): Promise<boolean> {
  const markers = await Promise.all(providers.map(provider => markerAt(provider, key, AbortSignal.timeout(30_000))))
  return markers.every(marker => (marker?.version ?? '') > version)
}

async function contentOf(provider: Provider, key: string) {
  const answer = await provider.get({ key, range: undefined, token: undefined }, AbortSignal.timeout(30_000))
  if (answer === undefined) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
  const bytes = Buffer.concat(chunks)
  const { seed = '', ...metadata } = unpackMetadata(answer.object.metadata)
  const { version, whose } = recognise(answer.object)
  const { contentType } = answer.object.headers
  const told = { version, whose, seed, size: bytes.byteLength, contentType, metadata }
  return { told, isWhole: bytes.equals(bodyFor(seed, bytes.byteLength)) }
}

function start(args: readonly string[], listen: (told: Told) => void) {
  const child: ChildProcess = fork(new URL('./kill-child.ts', import.meta.url), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let isReady = false
  child.on('message', (told: Told) => {
    if (told.type === 'ready') isReady = true
    listen(told)
  })
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
  })
  return { process: child, ended, isReady: () => isReady }
}
