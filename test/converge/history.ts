import type { Version } from '../../src/core/version.ts'

/** A put or delete that was asked for. Its body names it. */
export interface Asked {
  readonly node: number
  readonly key: string
  /** `undefined`: a delete. */
  readonly body: string | undefined
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
  readonly condition: 'absent' | { readonly version: Version } | undefined
  /** By the world's clock. */
  readonly at: number
  until?: number
  /** Of an acknowledged write, and of one of which nobody knows. */
  version?: Version
  state: 'asked' | 'acked' | 'refused' | 'unknown'
}

/** What a node answered to a read, and what it knew before: the newest write that it had acknowledged itself. */
export interface Seen {
  readonly node: number
  readonly key: string
  readonly knew: Version | undefined
  readonly version: Version | undefined
  readonly body: string | undefined
}

/** All that happened to a world: what should be there, and whether what was seen was allowed. */
export class History {
  readonly asked: Asked[] = []
  readonly seen: Seen[] = []

  /** The newest write to the key that this node acknowledged. */
  known(node: number, key: string): Version | undefined {
    return newest(this.asked.filter(each => each.node === node && each.key === key && each.state === 'acked'))?.version
  }

  /** By key: the newest write that was acknowledged, and whatever newer one may have happened. */
  expected(): Map<string, { readonly newest: Asked | undefined; readonly perhaps: readonly Asked[] }> {
    const all = new Map<string, { newest: Asked | undefined; perhaps: Asked[] }>()
    for (const [key, writes] of Map.groupBy(this.asked, ({ key }) => key)) {
      const acked = newest(writes.filter(({ state }) => state === 'acked'))
      const perhaps = writes.filter(
        ({ state, version }) => (state === 'unknown' || state === 'asked') && (version ?? '~') > (acked?.version ?? ''),
      )
      all.set(key, { newest: acked, perhaps })
    }
    return all
  }

  /** What must not have happened, in words; none if all is well. */
  faults(): string[] {
    return [...this.readFaults(), ...this.conditionFaults()]
  }

  private readFaults(): string[] {
    const faults: string[] = []
    const byKey = Map.groupBy(this.asked, ({ key }) => key)
    for (const { node, key, knew, version, body } of this.seen) {
      const writes = byKey.get(key) ?? []
      const where = `read of ${key} at node ${node}`
      if (version === undefined) {
        const known = knew === undefined ? undefined : writes.find(write => write.version === knew)
        const isDeleted = writes.some(
          write => write.body === undefined && write.state !== 'refused' && (write.version ?? '~') > (knew ?? ''),
        )
        if (known?.body !== undefined && !isDeleted) faults.push(`${where} found nothing, knew ${knew} (I23)`)
        continue
      }
      const write = writes.find(each => each.version === version) ?? writes.find(each => each.body === body)
      if (knew !== undefined && version < knew) faults.push(`${where} found ${version}, knew ${knew} (I23, I25)`)
      if (write === undefined) faults.push(`${where} found ${version}, which nobody wrote`)
      else if (write.state === 'refused') faults.push(`${where} found ${version}, which was refused`)
      else if (write.body !== body) faults.push(`${where} found other bytes than those of ${version} (I26)`)
    }
    return faults
  }

  /** Acknowledged conditional writes have an order in which each found what it asked for: of one version at most one is the successor. */
  private conditionFaults(): string[] {
    const faults: string[] = []
    const successors = new Map<string, Asked>()
    for (const [key, writes] of Map.groupBy(this.asked, ({ key }) => key)) {
      const acked = writes.filter(({ state }) => state === 'acked')
      for (const write of acked) {
        if (typeof write.condition !== 'object') continue
        const over = `${key} over ${write.condition.version}`
        const other = successors.get(over)
        // Two deletes of one version want the same: after a lost answer, each may be told that it was the one.
        const areDeletes = other?.body === undefined && write.body === undefined
        if (other !== undefined && !areDeletes)
          faults.push(`${over}: both ${other.version} and ${write.version} were acknowledged`)
        successors.set(over, write)
        if ((write.version ?? '') <= write.condition.version) faults.push(`${over}: ${write.version} is older`)
      }
      const creates = acked.filter(({ condition }) => condition === 'absent').toSorted(byVersion)
      for (const [index, next] of creates.entries()) {
        const before = creates[index - 1]
        if (before === undefined) continue
        const isDeletedBetween = writes.some(
          ({ body, state, version }) =>
            body === undefined && state !== 'refused' && (version === undefined || isBetween(version, before, next)),
        )
        if (!isDeletedBetween)
          faults.push(`${key}: ${before.version} and ${next.version} both found it absent, and nothing deleted it`)
      }
    }
    return faults
  }
}

function isBetween(version: Version, before: Asked, after: Asked): boolean {
  return version > (before.version ?? '') && version < (after.version ?? '')
}

function byVersion(a: Asked, b: Asked): number {
  return (a.version ?? '') < (b.version ?? '') ? -1 : 1
}

function newest(writes: readonly Asked[]): Asked | undefined {
  return writes.toSorted(byVersion).at(-1)
}
