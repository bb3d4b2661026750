import { unlessAborted } from '../../core/abort.ts'
import { ask, type Target } from './call.ts'
import type { Verdict } from './classify.ts'

/** Whether the bucket is there: one question for all who want to know at the same time. */
export interface BucketCheck {
  /**
   * Resolves with `undefined` once S3 has said that the bucket is there, to a question that was sent after this call: an answer from
   * before a 404 proves nothing about it. Else with what S3 said instead. Rejects only with the reason of the signal.
   */
  isThere(signal: AbortSignal): Promise<Verdict | undefined>
}

interface Round {
  readonly answer: Promise<Verdict | undefined>
  /** Who wants to know. */
  waiting: number
  /** Nobody wants to know any more. */
  drop(): void
}

export function bucketCheck(target: Target): BucketCheck {
  let running: Round | undefined
  /** Begins when the running one has ended: for those who came after that one was sent. */
  let next: Round | undefined

  function begin(before: Promise<unknown>): Round {
    const controller = new AbortController()
    const ask = async (): Promise<Verdict | undefined> => {
      await before
      controller.signal.throwIfAborted()
      next = undefined
      running = round
      try {
        return await headBucket(target, controller.signal)
      } finally {
        running = undefined
      }
    }
    const drop = (): void => {
      if (next === round) next = undefined
      controller.abort(left)
    }
    const round: Round = { waiting: 0, answer: ask(), drop }
    return round
  }

  return {
    async isThere(signal) {
      signal.throwIfAborted()
      next ??= begin(running === undefined ? Promise.resolve() : running.answer.catch(() => {}))
      const round = next
      round.waiting++
      try {
        return await unlessAborted(round.answer, signal)
      } finally {
        round.waiting--
        if (round.waiting === 0) round.drop()
      }
    },
  }
}

const left = new Error('nobody waits for the answer any more')

async function headBucket(target: Target, signal: AbortSignal): Promise<Verdict | undefined> {
  const command = new target.sdk.HeadBucketCommand({ Bucket: target.bucket })
  const purpose = { call: 'head of the bucket', writes: false }
  const answer = await ask(
    target,
    command,
    { ...purpose, speaks: answered => 'x-amz-bucket-region' in answered.headers },
    signal,
  )
  if (answer.refused === undefined) return undefined
  const { error, status, spoke } = answer.refused
  if (status !== 404 || !spoke) return answer.refused
  const { errors } = target
  return {
    ...answer.refused,
    code: 'NoSuchBucket',
    error: errors.because('DENIED', 'BUCKET', 'the bucket is gone, or was never there', { cause: error.cause }),
  }
}
