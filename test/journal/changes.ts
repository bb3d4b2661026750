import { digestsOf } from '../../src/core/digest.ts'
import type { Decision, Evidence, WriteBody } from '../../src/journal/contract.ts'
import type { Looking } from '../../src/journal/engine.ts'
import type { IncomingWrite } from '../../src/journal/accept.ts'
import type { Book } from '../../src/journal/protocol.ts'
import { writeAttributes } from '../../src/journal/rows.ts'
import type { BodyPart } from '../../src/journal/upload-contract.ts'
import type { Chance } from './chance.ts'

/** One change, as it is given to a book. */
export interface Change {
  readonly op: keyof Book
  readonly args: readonly unknown[]
}

/** What changes are made up from. */
export interface World {
  readonly chance: Chance
  /** How the rows stand, as one engine says. */
  readonly looking: Looking
  /** Makes a file of this name in both `bodies/`. */
  readonly publish: (file: string) => void
  now: number
  lastSeq: number
  readonly uploads: string[]
  readonly versions: string[]
  readonly files: string[]
}

export const keys = ['a', 'a/b', 'ä', '\uffee', '😀'] as const
export const buckets = ['w', 'x', 'y', 'z'] as const
export const jobs = ['backfill/1/', 'backfill/2/a', 'reconcile/', 'attended:1', 'expiry:2', 'scrub'] as const
export const reasons = ['REFUSED', 'TOO_OLD', 'KMS', 'NETWORK'] as const

/** A change that somebody may ask for, right or wrong: of writes that are there or are not, with the token of the lease or an older one. */
export function nextChange(world: World): Change {
  const { chance } = world
  // Conditions look at what happened within a minute.
  world.now += chance.oneIn(20) ? 70_000 : chance.below(300)
  return chance.of(weighted)(world)
}

type Make = (world: World) => Change

const token = ({ chance, looking }: World) => looking.leaseToken() - (chance.oneIn(30) ? 1 : 0)
/** Mostly of a write that is there. */
function seqOf({ chance, lastSeq, looking }: World): number {
  let seq = 1 + chance.below(lastSeq + 1)
  for (let i = 0; i < 4 && looking.write(seq) === undefined; i++) seq = 1 + chance.below(lastSeq + 1)
  return seq
}

const provider = ({ chance }: World) => 1 + chance.below(chance.oneIn(15) ? 5 : 3)
const on =
  (op: keyof Book, more: (world: World) => readonly unknown[] = () => []): Make =>
  world => ({
    op,
    args: [token(world), seqOf(world), provider(world), ...more(world)],
  })
const leased =
  (op: keyof Book, more: (world: World) => readonly unknown[]): Make =>
  world => ({
    op,
    args: [token(world), ...more(world)],
  })
const plainly =
  (op: keyof Book, args: (world: World) => readonly unknown[]): Make =>
  world => ({ op, args: args(world) })

function evidence({ chance, now }: World): Evidence {
  return {
    token: chance.hex(2),
    proof: 'server-full',
    etag: chance.oneIn(2) ? chance.hex(4) : undefined,
    partSize: chance.oneIn(3) ? 5 : undefined,
    storedAt: now - chance.below(100),
    lookAt: now + chance.below(500),
  }
}

function decision(world: World): Decision {
  const { chance } = world
  if (chance.oneIn(2)) return { kept: true, provider: provider(world), evidence: evidence(world) }
  return {
    kept: false,
    refusal: { code: 'PRECONDITION', message: 'it is there', outcome: chance.of(['rejected', 'unknown']) },
  }
}

function fileOf(world: World): string {
  const { chance, files, publish } = world
  // Now and then one that is not there, and one that is another's.
  const file = files.length > 0 && chance.oneIn(20) ? chance.of(files) : chance.hex(16)
  if (!chance.oneIn(20)) publish(file)
  files.push(file)
  return file
}

function bodyOf(world: World): {
  readonly body: WriteBody
  readonly size: number
  readonly crc32c: string
  readonly md5: string
} {
  const bytes = Buffer.from(world.chance.hex(1 + world.chance.below(10)))
  const body: WriteBody = world.chance.oneIn(2) ? { in: 'row', bytes } : { in: 'file', file: fileOf(world) }
  return { body, size: bytes.byteLength, ...digestsOf(bytes) }
}

const gone = { kind: 'delete', size: 0, crc32c: '', md5: '', body: { in: 'none' } } as const

function write(world: World, more: Partial<IncomingWrite> = {}): IncomingWrite {
  const { chance, now, versions } = world
  const key = chance.of(keys)
  const kind = chance.oneIn(3) ? gone : { kind: 'put' as const, ...bodyOf(world) }
  const layout = { etag: `${chance.hex(4)}-1`, parts: [{ count: 1, bytes: kind.size }] }
  const attributes = { contentType: 'text/plain', metadata: chance.oneIn(3) ? { ['__proto__']: 'x', a: 'b' } : {} }
  const providers = chance.some([1, 2, 3])
  const condition = chance.oneIn(2) || versions.length === 0 ? 'absent' : { version: chance.of(versions) }
  return {
    key,
    origin: 'app',
    version: undefined,
    stampMs: now - chance.below(200),
    condition: chance.oneIn(3) ? condition : undefined,
    ...kind,
    providers: providers.length === 0 ? [1] : chance.oneIn(2) ? providers : providers.toReversed(),
    maxStageBytes: chance.oneIn(10) ? 60 : 100_000,
    now,
    attributes: writeAttributes(attributes, {
      layout: chance.oneIn(3) ? layout : undefined,
      features: chance.oneIn(4) ? { s3: { StorageClass: 'GLACIER' } } : undefined,
    }),
    ...more,
  }
}

/** Of a version that was seen, or of a made up one. */
function repair(world: World): IncomingWrite {
  const { chance, versions } = world
  const version = versions.length > 0 && chance.oneIn(2) ? chance.of(versions) : made(world)
  const at = provider(world)
  const damaged = chance.oneIn(2) ? [{ provider: at, token: 'bad' }] : []
  return write(world, { origin: 'repair', version, condition: undefined, providers: [at], damaged })
}

function made({ chance, now }: World): string {
  return `${(now + chance.below(2_000) - 1_000).toString(16).padStart(12, '0')}0000${chance.hex(8)}`
}

function seen(world: World): string {
  const { chance, versions } = world
  return versions.length > 0 && chance.oneIn(2) ? chance.of(versions) : made(world)
}

/** Mostly one that is open. */
function uploadOf({ chance, uploads, looking }: World): string {
  const open = looking.uploads('')
  if (open.length > 0 && !chance.oneIn(8)) return chance.of(open).id
  return uploads.length > 0 && chance.oneIn(2) ? chance.of(uploads) : chance.hex(16)
}

const beginUpload: Make = world => {
  const { chance, now, uploads } = world
  const id = uploads.length > 0 && chance.oneIn(20) ? chance.of(uploads) : chance.hex(16)
  uploads.push(id)
  const checksum = chance.oneIn(2) ? JSON.stringify({ algorithm: 'CRC32', type: 'COMPOSITE' }) : null
  const attributes = writeAttributes({ contentType: 'video/mp4', metadata: { a: 'b' } })
  return { op: 'beginUpload', args: [{ id, key: chance.of(keys), attributes, checksum, createdAt: now }] }
}

const addPart: Make = world => {
  const { chance, now, looking } = world
  if (looking.uploads('').length === 0 && !chance.oneIn(10)) return beginUpload(world)
  const size = 1 + chance.below(9)
  const checksum = chance.oneIn(2) ? JSON.stringify({ algorithm: 'CRC32', value: 'AAAAAA==' }) : null
  const file = chance.hex(16)
  if (!chance.oneIn(20)) world.publish(file)
  const digests = digestsOf(Buffer.from(file))
  const part = {
    upload: uploadOf(world),
    number: 1 + chance.below(4),
    file,
    size,
    ...digests,
    checksum,
    uploadedAt: now,
  }
  return { op: 'addPart', args: [{ ...part, maxStageBytes: chance.oneIn(10) ? 60 : 100_000 }] }
}

const completeUpload: Make = world => {
  const { chance, looking } = world
  if (looking.uploads('').length === 0 && !chance.oneIn(10)) return beginUpload(world)
  const id = uploadOf(world)
  const chosen = looking.uploadedParts(id).filter(() => !chance.oneIn(4))
  const parts: BodyPart[] = chosen.map(({ file, size, crc32c, md5 }) => ({ file, size, crc32c, md5 }))
  if (chance.oneIn(5)) parts.reverse()
  const [first] = parts
  if (first !== undefined && chance.oneIn(10)) parts[0] = { ...first, md5: 'another' }
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  const body = { in: 'parts', parts } as const
  return { op: 'completeUpload', args: [id, write(world, { kind: 'put', size, crc32c: '', md5: '', body })] }
}

const release: Make = world => {
  const { chance, looking, now } = world
  const ready = [...looking.releasable(10), ...looking.superseded(now, 10)].map(({ seq }) => seq)
  const seqs = chance.oneIn(10) ? [seqOf(world)] : chance.some(ready)
  return { op: 'release', args: [token(world), seqs.map(seq => ({ seq, cache: chance.oneIn(2) })), now] }
}

const selection = ({ chance }: World) => ({
  ...(chance.oneIn(3) ? { key: chance.of(keys) } : {}),
  ...(chance.oneIn(3) ? { provider: 1 + chance.below(3) } : {}),
  ...(chance.oneIn(3) ? { reason: chance.of(reasons) } : {}),
})
const pageSize = ({ chance }: World) => 1 + chance.below(4)
const place = (world: World) =>
  world.chance.oneIn(2) ? { seq: 0, provider: 0 } : { seq: seqOf(world), provider: provider(world) }

/** Moves a write on as a replicator would: to every provider, or until somebody else's change comes between. */
const proceed: Make = world => {
  const { chance, looking, now } = world
  const at = provider(world)
  const query = { provider: at, now: now + 1_000, limit: 5, except: new Set<string>() }
  const [looks, due] = [looking.looks({ ...query, order: 'oldest' }), looking.due({ ...query, order: 'oldest' })]
  const tasks = chance.oneIn(2) && looks.length > 0 ? looks : due
  if (tasks.length === 0) return chance.of([release, put])(world)
  const { write: row, replica } = chance.of(tasks)
  const args = [token(world), row.seq, at]
  if (replica.state === 'stored') return { op: 'verified', args }
  if (chance.oneIn(4)) return { op: 'sending', args }
  if (row.state === 'tentative') return { op: 'decide', args: [token(world), row.seq, decision(world), now] }
  return { op: 'stored', args: [...args, evidence(world)] }
}

const put: Make = plainly('accept', world => [write(world)])

const makers: readonly (readonly [weight: number, make: Make])[] = [
  [14, put],
  [4, plainly('accept', world => [repair(world)])],
  [40, proceed],
  [8, release],
  [3, plainly('withdraw', world => [seqOf(world)])],
  [1, plainly('observe', world => [seen(world)])],
  [2, plainly('touch', world => [world.chance.of(keys), world.now])],
  [2, plainly('takeLease', () => [])],
  [2, leased('hasten', world => [world.now - world.chance.below(100), world.chance.of(['repair', undefined])])],
  [4, on('sending')],
  [4, on('stored', world => [evidence(world)])],
  [3, on('verified')],
  [2, on('again', () => ['gone'])],
  [
    3,
    on('postpone', ({ chance, now }) => [
      {
        notBefore: now + chance.below(500),
        attempt: chance.below(4),
        reason: chance.of([...reasons, undefined]),
        message: 'later',
      },
    ]),
  ],
  [9, on('block', ({ chance }) => [chance.of([...reasons, 'LOCAL_CORRUPT']), 'no'])],
  [1, leased('hurry', world => [provider(world)])],
  [2, leased('unblock', world => [provider(world), world.chance.of([undefined, ['KMS', 'NETWORK']])])],
  [2, world => ({ op: 'overtaken', args: [token(world), seqOf(world), seen(world), provider(world), world.now] })],
  [
    4,
    world => ({
      op: 'restore',
      args: [
        token(world),
        seqOf(world),
        world.chance.oneIn(2) ? { in: 'row', bytes: Buffer.from('anew') } : { in: 'file', file: fileOf(world) },
      ],
    }),
  ],
  [2, on('saveUpload', ({ chance }) => [chance.of(['upload', undefined])])],
  [4, world => ({ op: 'decide', args: [token(world), seqOf(world), decision(world), world.now] })],
  [3, leased('emptied', ({ looking, chance }) => [chance.some(looking.trash(5).map(({ file }) => file))])],
  [
    2,
    leased('collect', ({ files, chance }) => [
      files.length === 0 ? [] : [chance.of(files), chance.of(files), chance.hex(16)],
    ]),
  ],
  [
    2,
    leased('trim', ({ chance, now }) => [
      { deletedBefore: now - chance.below(5_000), knownRows: chance.below(12), cacheBytes: chance.below(60) },
    ]),
  ],
  [
    2,
    plainly('register', ({ chance }) => [
      chance.some(buckets).map(name => ({ location: `test://${name}`, name: `${name}${chance.below(2)}` })),
    ]),
  ],
  [1, plainly('filled', world => [provider(world)])],
  [1, plainly('trusted', world => [provider(world)])],
  [1, plainly('stale', world => [provider(world)])],
  [
    2,
    leased('learnt', world => [
      provider(world),
      world.chance.of([{ identity: `id-${world.chance.below(2)}` }, { capabilities: { condition: true } }, {}]),
    ]),
  ],
  [1, leased('health', world => [provider(world), { state: 'down', reason: 'NETWORK', since: world.now }])],
  [2, beginUpload],
  [10, addPart],
  [5, completeUpload],
  [1, plainly('dropUpload', world => [uploadOf(world)])],
  [1, leased('dropUploads', ({ chance, now }) => [now - chance.below(300_000)])],
  [2, plainly('retry', world => [selection(world), pageSize(world)])],
  [
    4,
    plainly('giveUp', world => [
      selection(world),
      'why',
      world.chance.oneIn(2),
      place(world),
      pageSize(world),
      world.now,
    ]),
  ],
  [1, plainly('retireReplicas', world => [provider(world), 'why', place(world), pageSize(world), world.now])],
  [1, plainly('retireKnown', world => [provider(world), world.chance.of(['', 'a', 'ä']), pageSize(world)])],
  [1, plainly('retire', world => [provider(world)])],
  [1, plainly('acceptBucket', world => [provider(world), `id-${world.chance.below(2)}`])],
  [1, plainly('include', world => [provider(world), seqOf(world) - 1, pageSize(world)])],
  [2, plainly('saveJob', world => [world.chance.of(jobs), world.chance.of(['{}', '{"n":1}', undefined]), world.now])],
]

const weighted = makers.flatMap(([weight, make]) => Array.from({ length: weight }, () => make))
