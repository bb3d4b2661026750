import { Readable } from 'node:stream'
import { HoldfastError, shown } from '../core/errors.ts'
import { pause } from '../core/pause.ts'
import { watch } from '../core/guard.ts'
import { asError } from './enter.ts'
import { isHeld } from './knowledge.ts'
import { checkOf, corrupt, isPinned, type Pin, pinOfLocal, tokenFor } from './pin.ts'
import { localStretch, openRemote, type Stretch } from './stretch.ts'
import type { LocalBody, ReadDeps, ReadProvider } from './types.ts'

/** A body that nobody reads lets go of its connection after this time. */
const parkMs = 60_000
/** A service may hang up on a reader who stayed away for so long, and is not to be blamed. */
const awayMs = 5_000
/** Breaks that one body survives: so many, and one more per so many bytes. */
const leastResumes = 16
const bytesPerResume = 1_048_576
/** How often all places are asked for the rest before the body gives up, and the longest wait between. */
const rounds = 2
const longestWaitMs = 500
/** Made once: each of its kind that the platform makes takes a picture of the stack. */
const left = new DOMException('the body was left', 'AbortError')

export interface BodyPlan {
  readonly deps: ReadDeps
  readonly pin: Pin
  /** start <= byte < end of the pinned object. */
  readonly start: number
  readonly end: number
  readonly signal: AbortSignal
}

/**
 * The bytes of one pinned version, from wherever they can be had; see `StoredObject.body` for what it promises. `first` begins at
 * `start`; when it breaks, another place goes on at the next byte: the others in their order, then the one that broke.
 *
 * The whole is compared with its digest before its last chunk is given out. A body that turns out wrong there errors instead of ending: what
 * went out before cannot be taken back.
 */
export function bodyOf(given: BodyPlan, first: Stretch): ReadableStream<Uint8Array> {
  const { deps, pin, start, end } = given
  // Ends with the stream, also when it is cancelled while another place is being asked.
  const over = new AbortController()
  const { signal } = over
  const plan = { ...given, signal }
  const check = start === 0 && end === pin.size ? checkOf(pin) : undefined
  let stretch: Stretch | undefined = first
  let last = first.from
  let at = start
  let givenAt = deps.clock.monotonic()
  let resumesLeft = leastResumes + Math.floor((end - start) / bytesPerResume)

  const park = watch(deps.clock, parkMs, () => {
    stretch?.left()
    stretch = undefined
  })
  const rest = (): void => {
    if (stretch !== undefined) park.touch()
  }
  const stop = (reason: unknown = left): void => {
    park.end()
    given.signal.removeEventListener('abort', abort)
    stretch?.left()
    stretch = undefined
    over.abort(reason)
  }
  const finish = (): void => {
    stretch?.finished()
    stretch = undefined
    stop()
  }
  let control: ReadableStreamDefaultController<Uint8Array>
  const abort = (): void => {
    stop(given.signal.reason)
    control.error(given.signal.reason)
  }

  async function next(): Promise<Uint8Array> {
    let wasAway = deps.clock.monotonic() - givenAt > awayMs
    while (true) {
      signal.throwIfAborted()
      stretch ??= await resume(undefined)
      const current = stretch
      try {
        const chunk = await chunkOf(current, end - at)
        if (chunk.byteLength > 0) return chunk
      } catch (error) {
        signal.throwIfAborted()
        if (wasAway) current.left()
        else current.failed(error)
        wasAway = false
        stretch = undefined
        const known = error instanceof HoldfastError ? error : brokenAt(pin, last, at, error)
        if (resumesLeft-- === 0) throw exhausted(pin, at, [known])
        stretch = await resume(known)
      }
    }
  }

  /** The rest, from the first place that has it. After a break the place that broke is asked last. */
  async function resume(broken: HoldfastError | undefined): Promise<Stretch> {
    const failures = new Map<string, HoldfastError>()
    if (broken !== undefined) failures.set(last, broken)
    const places = placesFor(plan, at, last, broken)
    for (let round = 0; round < rounds; round++) {
      if (round > 0) await pause(deps.clock, deps.random.number() * longestWaitMs, signal)
      for (const [index, place] of places.entries()) {
        try {
          const opened = await place.open(round > 0 || index === places.length - 1)
          if (broken !== undefined) {
            deps.emit('failover', { key: pin.key, from: last, to: place.name, atByte: at, error: broken })
          }
          last = place.name
          return opened
        } catch (error) {
          signal.throwIfAborted()
          if (!(error instanceof HoldfastError)) throw error
          failures.set(place.name, error)
        }
      }
    }
    throw exhausted(pin, at, [...failures.values()])
  }

  async function pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    park.rest()
    try {
      const chunk = await next()
      at += chunk.byteLength
      givenAt = deps.clock.monotonic()
      check?.update(chunk)
      if (at < end) {
        controller.enqueue(chunk)
        rest()
        return
      }
      if (check?.isRight() === false) {
        deps.emit('corrupt', { key: pin.key, version: pin.version, from: last })
        throw corrupt(pin, last)
      }
      finish()
      controller.enqueue(chunk)
      controller.close()
    } catch (error) {
      stop()
      throw error
    }
  }

  function begin(controller: ReadableStreamDefaultController<Uint8Array>): void {
    control = controller
    if (given.signal.aborted) {
      abort()
      return
    }
    given.signal.addEventListener('abort', abort, { once: true })
    if (start < end) {
      rest()
      return
    }
    finish()
    controller.close()
  }

  return new ReadableStream<Uint8Array>({ start: begin, pull, cancel: () => stop() }, { highWaterMark: 0 })
}

async function chunkOf(stretch: Stretch, left: number): Promise<Uint8Array> {
  const step = await stretch.next()
  if (step.done === true) throw new Error(`it ended ${left} bytes too early`)
  if (step.value.byteLength > left) throw new Error('more bytes came than were announced')
  return step.value
}

interface Where {
  readonly name: string
  open(isPatient: boolean): Promise<Stretch>
}

function placesFor(plan: BodyPlan, at: number, last: string, broken: HoldfastError | undefined): readonly Where[] {
  const { deps, pin } = plan
  const remote = deps.providers.map(each => ({
    name: each.provider.name,
    open: (isPatient: boolean) => remoteRest(plan, each, at, isPatient),
  }))
  // A local copy that is wrong stays wrong.
  const isLocalBad = last === 'local' && broken !== undefined
  const held = isLocalBad ? undefined : heldFor(deps, pin)
  const all = held === undefined ? remote : [...remote, { name: 'local', open: async () => localRest(plan, held, at) }]
  const [same, others] = [all.filter(({ name }) => name === last), all.filter(({ name }) => name !== last)]
  return broken === undefined ? [...same, ...others] : [...others, ...same]
}

async function remoteRest({ deps, pin, end, signal }: BodyPlan, at: ReadProvider, from: number, isPatient: boolean) {
  const { options } = deps
  const { key } = pin
  const { name } = at.provider
  const patienceMs = isPatient ? Math.max(options.firstByteMs, options.idleMs) : options.firstByteMs
  const request = { key, range: { start: from, end }, token: tokenFor(pin, at), patienceMs, signal }
  const opened = await openRemote(deps, at, request).catch(error => {
    throw signal.aborted ? error : asError(at.provider, error)
  })
  if (opened === undefined) throw replaced(pin, name, 'has it no more')
  if (isPinned(pin, at, opened.object)) return opened.stretch
  opened.stretch.left()
  throw replaced(pin, name, `has another version of it, ${opened.recognised.version}`)
}

function localRest({ deps, end, signal }: BodyPlan, held: LocalBody, from: number): Stretch {
  return localStretch(deps, deps.localSource(held), from, end, signal)
}

/** The same version on local disk, now. */
function heldFor({ journal }: ReadDeps, pin: Pin): LocalBody | undefined {
  if (!pin.isOurs) return undefined
  const { open, cached } = journal.view(pin.key)
  if (open !== undefined && isHeld(open) && isSame(pin, pinOfLocal(pin.key, open))) return { ...open, tree: 'stage' }
  if (cached !== undefined && isSame(pin, pinOfLocal(pin.key, cached))) return { ...cached, tree: 'cache' }
  return undefined
}

function isSame(a: Pin, b: Pin): boolean {
  return a.version === b.version && a.size === b.size && a.crc32c === b.crc32c
}

function replaced({ key, version }: Pin, from: string, message: string): HoldfastError {
  return new HoldfastError('UNAVAILABLE', `${from} ${message}: ${shown(key)}, version ${version}`, {
    key,
    provider: from,
    field: 'version',
    rule: 'replaced',
  })
}

function brokenAt({ key }: Pin, from: string, at: number, cause: unknown): HoldfastError {
  const because = cause instanceof Error ? cause.message : shown(cause)
  return new HoldfastError('UNAVAILABLE', `${from}: the body of ${shown(key)} broke at byte ${at}: ${because}`, {
    key,
    provider: from,
    cause,
  })
}

function exhausted({ key, version }: Pin, at: number, failures: readonly HoldfastError[]): HoldfastError {
  const said = failures.map(({ message }) => message).join('; ')
  const message = `the body of ${shown(key)}, version ${version}, broke at byte ${at}, and nobody can go on there: ${said}`
  const cause = new AggregateError(failures, message)
  const isCorrupt = failures.some(({ code }) => code === 'CORRUPT')
  if (isCorrupt && failures.every(({ code, rule }) => code === 'CORRUPT' || rule === 'replaced')) {
    return new HoldfastError('CORRUPT', message, { key, version, field: 'digest', cause })
  }
  return new HoldfastError('UNAVAILABLE', message, { key, version, cause })
}

/** All of a body of known length. TypeError if somebody reads it already, or has. */
export async function collect(body: ReadableStream<Uint8Array>, bytes: number): Promise<Uint8Array> {
  if (body.locked || Readable.isDisturbed(body as unknown as Readable)) {
    throw new TypeError('the body was read from already')
  }
  const whole = new Uint8Array(bytes)
  let at = 0
  for await (const chunk of body) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}
