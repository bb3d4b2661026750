import { withLimits } from '../core/guard.ts'
import { corrupt, isWhole, type Pin } from './pin.ts'
import type { Stretch } from './stretch.ts'
import type { LocalBody, ReadDeps } from './types.ts'

/**
 * Whole bodies up to here are read and compared before `get` resolves: wrong bytes in one place are then nobody's trouble, the next one is asked. Larger ones are
 * given out as they come.
 */
const wholeBytes = 262_144
/** From local disk larger ones too: to read them at once costs a third of reading them bit by bit. */
const wholeLocalBytes = 1_048_576

/** All of a body, in memory and compared with its digest: it holds no connection and no file. */
export interface Whole {
  /** 'local', or the provider's name. */
  readonly from: string
  readonly bytes: Uint8Array
}

/** What comes from one place, in memory and compared, where it is all of a small body; else as it is. */
export async function wholeIfSmall(
  deps: ReadDeps,
  pin: Pin,
  start: number,
  end: number,
  stretch: Stretch,
): Promise<Stretch | Whole> {
  if (start > 0 || end < pin.size || end > wholeBytes) return stretch
  const whole = new Uint8Array(end)
  let at = 0
  try {
    while (at < end) {
      const step = await stretch.next()
      if (step.done === true || step.value.byteLength > end - at) throw corrupt(pin, stretch.from)
      whole.set(step.value, at)
      at += step.value.byteLength
    }
  } catch (error) {
    stretch.failed(error)
    throw error
  }
  stretch.finished()
  if (isWhole(pin, whole)) return { from: stretch.from, bytes: whole }
  deps.emit('corrupt', { key: pin.key, version: pin.version, from: stretch.from })
  throw corrupt(pin, stretch.from)
}

/**
 * All of a body on local disk; `undefined` where it is too large, not in one place, or not what it was: read bit by bit, it says what is wrong with it, and where.
 * A disk that hangs fails it after `idleMs`.
 */
export async function wholeLocal(
  { clock, options, localBytes }: ReadDeps,
  pin: Pin,
  held: LocalBody,
  signal: AbortSignal,
): Promise<Whole | undefined> {
  const found = held.size > wholeLocalBytes ? undefined : localBytes(held)
  if (found === undefined) return undefined
  const bytes = found instanceof Uint8Array ? found : await inTime(found)
  return isWhole(pin, bytes) ? { from: 'local', bytes } : undefined

  function inTime(reading: Promise<Uint8Array>): Promise<Uint8Array> {
    // After an abort nobody looks at it any more.
    reading.catch(() => {})
    const about = { what: 'the local copy' }
    const limits = { clock, idleMs: options.idleMs, deadlineMs: Number.POSITIVE_INFINITY, signal, about }
    return withLimits(limits, () => reading)
  }
}
