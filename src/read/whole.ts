import { withLimits } from '../core/guard.ts'
import { corrupt, isWhole, type Pin } from './pin.ts'
import { bytesStretch, type Stretch } from './stretch.ts'
import type { LocalBody, ReadDeps } from './types.ts'

/**
 * Whole bodies up to here are read and compared before `get` resolves: wrong bytes in one place are then nobody's trouble, the next one is asked. Larger ones are
 * given out as they come.
 */
const wholeBytes = 262_144
/** From local disk larger ones too: to read them at once costs a third of reading them bit by bit. */
const wholeLocalBytes = 1_048_576

/** What comes from a provider, in memory and compared, where it is all of a small body; else as it is. */
export async function wholeIfSmall(
  deps: ReadDeps,
  pin: Pin,
  start: number,
  end: number,
  stretch: Stretch,
): Promise<Stretch> {
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
  return compared(deps, pin, stretch.from, whole)
}

/** All of a body on local disk, in memory and compared; `undefined` where it is too large, or not in one place. A disk that hangs fails it after `idleMs`. */
export async function wholeLocal(
  deps: ReadDeps,
  pin: Pin,
  held: LocalBody,
  signal: AbortSignal,
): Promise<Stretch | undefined> {
  const { clock, options, localBytes } = deps
  const found = held.size > wholeLocalBytes ? undefined : localBytes(held)
  if (found === undefined) return undefined
  const about = { what: 'the local copy' }
  const limits = { clock, idleMs: options.idleMs, deadlineMs: Number.POSITIVE_INFINITY, signal, about }
  if (found instanceof Uint8Array) return compared(deps, pin, 'local', found)
  // After an abort nobody looks at it any more.
  found.catch(() => {})
  return compared(deps, pin, 'local', await withLimits(limits, () => found))
}

function compared({ emit }: ReadDeps, pin: Pin, from: string, whole: Uint8Array): Stretch {
  if (isWhole(pin, whole)) return bytesStretch(from, whole)
  emit('corrupt', { key: pin.key, version: pin.version, from })
  throw corrupt(pin, from)
}
