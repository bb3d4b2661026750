import { invalid } from '../core/errors.ts'

/** What a file system means for a promise to keep something. */
type Trust =
  | { readonly is: 'refused'; readonly name: string; readonly why: string }
  | { readonly is: 'warned'; readonly name: string; readonly why: string }

const memory = 'what is accepted there is gone after a restart'
const network = 'a network file system, whose locks and syncs depend on a server'
const unknown = 'a file system in user space, of which nobody can say what its sync is worth'

/** By the type number of Linux's statfs (linux/magic.h; the host's headers where that has none). All others are trusted. */
const doubted: ReadonlyMap<number, Trust> = new Map<number, Trust>([
  [0x01021994, { is: 'refused', name: 'tmpfs', why: memory }],
  [0x858458f6, { is: 'refused', name: 'ramfs', why: memory }],
  [0x958458f6, { is: 'refused', name: 'hugetlbfs', why: memory }],
  [0x00006969, { is: 'refused', name: 'NFS', why: network }],
  [0x0000517b, { is: 'refused', name: 'SMB', why: network }],
  [0xfe534d42, { is: 'refused', name: 'SMB', why: network }],
  [0xff534d42, { is: 'refused', name: 'CIFS', why: network }],
  [0x00c36400, { is: 'refused', name: 'CephFS', why: network }],
  [0x5346414f, { is: 'refused', name: 'AFS', why: network }],
  [0x73757245, { is: 'refused', name: 'Coda', why: network }],
  [0x01021997, { is: 'refused', name: '9p', why: network }],
  [0x65735546, { is: 'refused', name: 'FUSE', why: unknown }],
  [
    0x794c7630,
    {
      is: 'warned',
      name: 'overlay',
      why: "a container's own layer: what is not replicated yet dies with the container",
    },
  ],
])

/**
 * INVALID, field `directory`, rule `filesystem`, where a promise could not be kept on this file system; the warnings that
 * `status()` is to show where it can be kept only so far.
 */
export function checkFileSystem(path: string, type: number, disk: 'durable' | 'ephemeral'): readonly string[] {
  const doubt = doubted.get(type)
  if (doubt === undefined || disk === 'ephemeral') return []
  if (doubt.is === 'warned') {
    return [`directory ${path} is on ${doubt.name}, ${doubt.why}; give it a volume on a local disk`]
  }
  throw invalid(
    'directory',
    'filesystem',
    `directory ${path} is on ${doubt.name}: ${doubt.why}; use a local disk (in a container: a volume), or disk: 'ephemeral'`,
  )
}
