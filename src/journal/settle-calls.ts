import type { LookSettled } from './look-settled.ts'
import type { Book } from './protocol.ts'
import type { Place, SettledSome } from './settle.ts'
import type { AbandonedReplica, Settled, SettleJournal } from './settle-contract.ts'

/** Replicas that are settled in one transaction: some ten milliseconds, which a put may have to wait. */
const pageSize = 200
/** Keys looked through in one transaction. */
const keysAtOnce = 10_000

export interface SettleCalls {
  readonly change: (op: keyof Book, ...args: readonly unknown[]) => Promise<unknown>
  readonly tell: (op: keyof Book, ...args: readonly unknown[]) => Promise<void>
  readonly looking: LookSettled
  readonly now: () => number
}

/** The journal's contract for what a person settles, over the changes that the writer makes page by page. */
export function settleCalls({ change, tell: note, looking, now }: SettleCalls): SettleJournal {
  const page = async (
    some: (after: Place) => Promise<unknown>,
    tell: (given: AbandonedReplica) => void,
  ): Promise<Settled> => {
    let abandoned = 0
    let kept = 0
    let after: Place | undefined = { seq: 0, provider: 0 }
    while (after !== undefined) {
      const settled = (await some(after)) as SettledSome
      abandoned += settled.abandoned.length
      kept += settled.kept
      after = settled.next
      for (const given of settled.abandoned) tell(given)
    }
    return { abandoned, kept }
  }

  return {
    ...looking,
    async retry(which) {
      let all = 0
      for (let some = pageSize; some === pageSize; all += some)
        some = (await change('retry', which, pageSize)) as number
      return all
    },
    giveUp: (which, why, lastCopy, tell) =>
      page(after => change('giveUp', which, why, lastCopy, after, pageSize, now()), tell),
    async retire(provider, why, tell) {
      const settled = await page(after => change('retireReplicas', provider, why, after, pageSize, now()), tell)
      for (let after: unknown = ''; after !== undefined; )
        after = await change('retireKnown', provider, after, keysAtOnce)
      if (settled.kept === 0) await note('retire', provider)
      return settled
    },
    acceptBucket: (provider, before) => change('acceptBucket', provider, before) as Promise<boolean>,
    async include(provider) {
      const all = { objects: 0, bytes: 0 }
      for (let after: number | undefined = 0; after !== undefined; ) {
        const some = (await change('include', provider, after, pageSize)) as ReturnType<Book['include']>
        all.objects += some.objects
        all.bytes += some.bytes
        after = some.next
      }
      return all
    },
    saveJob: (name, state) => note('saveJob', name, state, now()),
    filled: provider => note('filled', provider),
    trusted: provider => note('trusted', provider),
    stale: provider => note('stale', provider),
  }
}
