import type { Clock, Disk } from '../../src/core/ports.ts'
import type { ProviderFault } from '../../src/testing/faulty/rules.ts'
import { intercepted, type Operation, systemError } from '../stage/disks.ts'

/** What can go wrong at which port. One kind is one loop: N = 1, 2, 3 … until nothing is left to fail. */
export const kinds = {
  /** The errno of the Nth call that can have it: once, or of all from there on. */
  disk: ['EIO', 'ENOSPC', 'EMFILE', 'EIO for ever', 'ENOSPC for ever', 'EMFILE for ever'],
  /**
   * `busy`, `full`: a change is refused, and the next one is taken. `poisoned`: the commit failed, and nothing more is taken; `kept`: it is on disk all the
   * same. `ended`: the thread ended after the change, before its answer. `unreadable`: a look fails.
   */
  journal: ['busy', 'full', 'poisoned', 'poisoned, kept', 'ended', 'unreadable'],
  /** `unsent`, `lost`: nobody knows whether it arrived; it did not, it did. */
  provider: ['fails', 'unsent', 'lost', 'hangs', 'cut'],
  /**
   * A clock that fails. `sleep`: a sleep rejects although nobody aborted it; nothing may take that for anything but a sleep that is over. `ahead`, `back`: the
   * wall clock jumps by a day and stays there; what is promised hangs on no wall clock, so only times may change (I41).
   */
  clock: ['sleep', 'ahead', 'back'],
  /** The caller's signal aborts at the Nth call of any port. */
  signal: ['abort'],
} as const

export type Port = keyof typeof kinds

export interface Fault {
  readonly port: Port
  readonly kind: string
  /** Numbers of the calls that fail, counted from 1; `[]`: none. */
  readonly at: readonly number[]
}

/** What a failing sleep rejects with. Long work that only waits may pass it on: no clock of ours does so. A write never may. */
export const sleepFailed: Error = new Error('a sleep failed')

const dayMs = 86_400_000

/** Counts the calls that a fault can be about, while it is armed, and says which of them fail. */
export class Trap {
  readonly fault: Fault
  /** Those that were counted. */
  readonly calls: string[] = []
  /** Those that failed. */
  readonly sprung: string[] = []
  isArmed = false
  /** Aborts when a fault of the port `signal` says so. */
  readonly caller = new AbortController()
  /** How far the wall clock is off, ms. */
  private offMs = 0

  /** No more faults, and somebody set the clock right. */
  disarm(): void {
    this.isArmed = false
    this.offMs = 0
  }

  constructor(fault: Fault) {
    this.fault = fault
  }

  /** Whether this call is to fail. */
  meets(port: Port, call: string, isAbout = true): boolean {
    if (!this.isArmed || !isAbout) return false
    const isSignal = this.fault.port === 'signal'
    if (this.fault.port !== port && !isSignal) return false
    this.calls.push(`${port} ${call}`)
    const { at, kind } = this.fault
    const isForEver = kind.endsWith('for ever')
    const isHit = at.includes(this.calls.length) || (isForEver && this.calls.length >= (at[0] ?? Infinity))
    if (!isHit) return false
    this.sprung.push(`${port} ${call}`)
    if (isSignal) this.caller.abort(new DOMException('the caller left', 'AbortError'))
    return !isSignal
  }

  disk(inner: Disk): Disk {
    const [code = ''] = this.fault.kind.split(' ')
    return intercepted(inner, async ({ operation, path }, run) => {
      const name = `${operation} ${path.split('/').slice(-2).join('/')}`
      if (!this.meets('disk', name, this.fault.port === 'signal' || can(code, operation))) return run()
      if (operation === 'file.close') await run()
      throw systemError(code, operation)
    })
  }

  clock(inner: Clock): Clock {
    const { kind } = this.fault
    return {
      monotonic: () => inner.monotonic(),
      now: () => {
        if (this.meets('clock', 'now', kind === 'ahead' || kind === 'back'))
          this.offMs += kind === 'ahead' ? dayMs : -dayMs
        return inner.now() + this.offMs
      },
      sleep: (ms, signal) => {
        if (this.meets('clock', `sleep ${ms}`, kind === 'sleep' || kind === 'abort')) return Promise.reject(sleepFailed)
        return inner.sleep(ms, signal)
      },
    }
  }
}

const opening: readonly Operation[] = ['create', 'read', 'names', 'syncDirectory']
const growing: readonly Operation[] = [
  'create',
  'rename',
  'link',
  'makeDirectory',
  'file.write',
  'file.sync',
  'file.close',
]

/** Which calls can have this errno. */
function can(code: string, operation: Operation): boolean {
  if (code === 'EMFILE') return opening.includes(operation)
  return code !== 'ENOSPC' || growing.includes(operation)
}

/** Bytes, or entries, after which a body or a listing is cut. */
const cutAfter = 2

export function providerFault(kind: string): ProviderFault {
  switch (kind) {
    case 'fails':
      return { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER' }
    case 'unsent':
      return { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown' }
    case 'lost':
      return { kind: 'lose-answer' }
    case 'hangs':
      return { kind: 'hang' }
    case 'cut':
      return { kind: 'cut', after: cutAfter }
    default:
      throw new TypeError(`no fault of a provider: ${kind}`)
  }
}
