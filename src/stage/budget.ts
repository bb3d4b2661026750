import { HoldfastError } from '../core/errors.ts'

/** Bytes that a body of unknown size takes ahead of what has arrived. */
const stepBytes = 1_048_576

/**
 * How many bytes may be on local disk: what the journal holds, and what the puts in flight of this process are about to add. Other
 * processes' puts in flight are not seen here; the journal checks once more when it accepts.
 */
export interface Budget {
  /**
   * Room for a body: all of it where its size is known, else a first step. NO_SPACE, before anything was read, where there is none.
   */
  reserve(size: number | undefined): Reservation
  /** Bytes reserved now. */
  readonly reservedBytes: number
}

export interface Reservation {
  /** The body has grown to this many bytes. NO_SPACE where they do not fit. */
  cover(bytes: number): void
  /** The body has this many bytes and will not grow: what was taken ahead goes back. */
  settle(bytes: number): void
  /** All of it goes back. More than once is no harm. */
  release(): void
}

export function openBudget(limitBytes: number, stagedBytes: () => number): Budget {
  let reserved = 0

  function reserve(size: number | undefined): Reservation {
    let held = 0
    let released = false

    /** Takes `least` bytes more, and up to `most` if they are there. */
    function take(least: number, most: number): void {
      if (released) throw new Error('a reservation was used after its release')
      const used = stagedBytes() + reserved
      const free = limitBytes - used
      if (free < least) throw noRoom(used, held + least)
      const taken = Math.max(least, Math.min(most, free))
      held += taken
      reserved += taken
    }

    function settle(bytes: number): void {
      if (bytes > held) take(bytes - held, bytes - held)
      reserved -= held - bytes
      held = bytes
    }

    if (size === undefined) take(1, stepBytes)
    else take(size, size)
    return {
      cover(bytes) {
        if (bytes > held) take(bytes - held, Math.max(bytes - held, stepBytes))
      },
      settle,
      release() {
        if (!released) settle(0)
        released = true
      },
    }
  }

  function noRoom(used: number, wanted: number): HoldfastError {
    const never = wanted > limitBytes
    const message = never
      ? `a body of ${wanted} bytes or more does not fit in a stage of ${limitBytes} bytes; raise maxStageBytes`
      : `the stage holds ${used} of ${limitBytes} bytes; drain, or raise maxStageBytes`
    return new HoldfastError('NO_SPACE', message, {
      field: 'maxStageBytes',
      rule: 'limit',
      outcome: 'rejected',
      retryable: !never,
    })
  }

  return {
    reserve,
    get reservedBytes() {
      return reserved
    },
  }
}
