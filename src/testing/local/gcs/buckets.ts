import { emptyBody } from '../bodies.ts'
import type { LocalRequest } from '../request.ts'
import { readJson } from './insert.ts'
import type { BucketFacts, Keeper } from './keeper.ts'
import { conditionRefused, invalidArgument, noBucket, refuse } from './refusal.ts'
import type { Route } from './route.ts'

/** What clients say of a bucket is kept and shown. */
export async function insertBucket(keeper: Keeper, request: LocalRequest): Promise<unknown> {
  const said = (await readJson(request.body)) as Record<string, unknown>
  return resourceOf(said['name'] as string, createBucket(keeper, said))
}

export function createBucket(keeper: Keeper, said: Readonly<Record<string, unknown>>): BucketFacts {
  const { name, ...rest } = said
  if (typeof name !== 'string' || !/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(name)) {
    refuse(invalidArgument(`Invalid bucket name: '${typeof name === 'string' ? name : ''}'`))
  }
  if (keeper.buckets.get(name) !== undefined) {
    const message = 'Your previous request to create the named bucket succeeded and you already own it.'
    refuse({ status: 409, reason: 'conflict', message })
  }
  const now = new Date().toISOString()
  const facts: BucketFacts = { timeCreated: now, updated: now, metageneration: 1, said: rest }
  keeper.store.commit([keeper.buckets.put(name, { facts, body: emptyBody })])
  return facts
}

export function getBucket(keeper: Keeper, { bucket = '' }: Route): unknown {
  return resourceOf(bucket, find(keeper, bucket))
}

export function listBuckets(keeper: Keeper, { query }: Route): unknown {
  const prefix = query.get('prefix') ?? ''
  const names = [...keeper.buckets.keys({ from: prefix })].filter(name => name.startsWith(prefix))
  return { kind: 'storage#buckets', items: names.map(name => resourceOf(name, find(keeper, name))) }
}

export async function patchBucket(
  keeper: Keeper,
  request: LocalRequest,
  { bucket = '', query }: Route,
): Promise<unknown> {
  const patch = (await readJson(request.body)) as Record<string, unknown>
  const before = find(keeper, bucket)
  const match = query.get('ifMetagenerationMatch')
  if (match !== null && match !== String(before.metageneration)) refuse(conditionRefused(false))
  const said = Object.fromEntries(Object.entries({ ...before.said, ...patch }).filter(([, value]) => value !== null))
  const facts = { ...before, said, updated: new Date().toISOString(), metageneration: before.metageneration + 1 }
  keeper.store.commit([keeper.buckets.put(bucket, { facts, body: emptyBody })])
  return resourceOf(bucket, facts)
}

export function deleteBucket(keeper: Keeper, { bucket = '' }: Route): void {
  find(keeper, bucket)
  if (keeper.objects(bucket).size > 0) {
    refuse({ status: 409, reason: 'conflict', message: 'The bucket you tried to delete is not empty.' })
  }
  keeper.store.commit([keeper.buckets.remove(bucket)])
}

function find(keeper: Keeper, name: string): BucketFacts {
  return keeper.buckets.get(name)?.facts ?? refuse(noBucket())
}

function resourceOf(name: string, { said, timeCreated, updated, metageneration }: BucketFacts): unknown {
  return {
    kind: 'storage#bucket',
    location: 'US',
    locationType: 'multi-region',
    storageClass: 'STANDARD',
    ...said,
    id: name,
    name,
    projectNumber: '0',
    metageneration: String(metageneration),
    timeCreated,
    updated,
  }
}
