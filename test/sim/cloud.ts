import { recognise } from '../../src/core/entry.ts'
import type { Clock } from '../../src/core/ports.ts'
import type { Provider, RemoteBody } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { FaultyRule, ProviderFault } from '../../src/testing/faulty/rules.ts'
import { weak } from '../converge/weak.ts'
import type { Process } from './machine.ts'
import { type Mood, mostLateMs, type ProviderPlan } from './plan.ts'
import type { Scheduler } from './scheduler.ts'

/** What was done to an object at a service, whoever asked for it and however late. */
export interface Effect {
  readonly kind: 'put' | 'delete'
  readonly key: string
  /** Of what was there before and is there now. */
  readonly before: string | undefined
  readonly after: string | undefined
}

/** A service that all machines of a world share. */
export interface Cloud {
  readonly name: string
  readonly plan: ProviderPlan
  /** What is there, without faults and at once. */
  readonly service: Provider
  /** Whether it keeps conditions, tells writes apart, and never lies. */
  readonly isStrong: boolean
  /** Versions of what is there. */
  readonly visible: ReadonlyMap<string, string>
  mood: Mood | undefined
  onEffect: (effect: Effect) => void
  /** The service as this process reaches it. */
  reachedBy(process: Process): Provider
}

export interface CloudOptions {
  readonly name: string
  readonly plan: ProviderPlan
  readonly scheduler: Scheduler
  /** The service's own. */
  readonly clock: Clock
}

export function startCloud({ name, plan, scheduler, clock }: CloudOptions): Cloud {
  const random = scheduler.randomOf(name)
  const chance = () => random.number()
  const plain = memory({ name, clock })
  const service = plan.weakness.length === 0 ? plain : weak(plain, new Set(plan.weakness))
  const rules = rulesOf(chance, plan.lies)
  const faults = {
    get rules() {
      return cloud.mood === undefined ? [] : rules[cloud.mood]
    },
  }
  const versionOf = async (key: string) => {
    const found = await service.head(key, new AbortController().signal)
    return found === undefined ? undefined : recognise(found).version
  }
  const visible = new Map<string, string>()
  const effect = (seen: Effect) => {
    if (seen.after === undefined) visible.delete(seen.key)
    else visible.set(seen.key, seen.after)
    cloud.onEffect(seen)
  }
  /** What the service does is seen at the moment at which it does it. */
  const watched: Provider = {
    ...service,
    async put(request, signal) {
      const before = await versionOf(request.key)
      const result = await service.put(request, signal)
      effect({ kind: 'put', key: request.key, before, after: await versionOf(request.key) })
      return result
    },
    async delete(key, token, signal) {
      const before = await versionOf(key)
      const result = await service.delete(key, token, signal)
      effect({ kind: 'delete', key, before, after: undefined })
      return result
    },
  }
  const reached = faulty(watched, faults, { clock })
  const cloud: Cloud = {
    name,
    plan,
    service,
    isStrong: plan.weakness.length === 0 && plan.lies === 0,
    visible,
    mood: undefined,
    onEffect: () => {},
    reachedBy: process => overTheNetwork(reached, process, scheduler),
  }
  return cloud
}

/** Each request takes its time, and is nobody's any more once its process is dead. */
function overTheNetwork(provider: Provider, process: Process, scheduler: Scheduler): Provider {
  const random = scheduler.randomOf(`${process.name} ${provider.name}`)
  const chance = () => random.number()
  async function call<T>(operation: string, key: string | undefined, run: () => Promise<T>): Promise<T> {
    if (!process.isAlive) return new Promise<never>(() => {})
    await process.wait(0.2 + chance() * 20)
    scheduler.note(`${process.name} ${provider.name} ${operation} ${key ?? ''}`)
    const end = (what: string) => async () => {
      await process.wait(0.2 + chance() * 20)
      scheduler.note(`${process.name} ${provider.name} ${operation} ${key ?? ''} ${what}`)
    }
    try {
      const result = await run()
      await end('answers')()
      return result
    } catch (error) {
      await end('fails')()
      throw error
    }
  }
  async function* slowly(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of body) {
      await process.wait(chance() * 2)
      yield chunk
    }
  }
  return {
    ...provider,
    get capabilities() {
      return provider.capabilities
    },
    learn: (remembered, signal) => call('learn', undefined, () => provider.learn(remembered, signal)),
    put: (request, signal) => call('put', request.key, () => provider.put(request, signal)),
    head: (key, signal) => call('head', key, () => provider.head(key, signal)),
    get: (request, signal) =>
      call('get', request.key, async (): Promise<RemoteBody | undefined> => {
        const found = await provider.get(request, signal)
        if (found === undefined) return undefined
        const { object, start, end } = found
        return { object, start, end, body: slowly(found.body), close: () => found.close() }
      }),
    delete: (key, token, signal) => call('delete', key, () => provider.delete(key, token, signal)),
    async *list(request, signal) {
      await call('list', request.prefix, async () => {})
      for await (const entry of provider.list(request, signal)) {
        if (!process.isAlive) await new Promise<never>(() => {})
        yield entry
      }
    },
  }
}

/** What goes wrong with one call out of so many, for each mood. */
function rulesOf(chance: () => number, lies: number): Readonly<Record<Mood, readonly FaultyRule[]>> {
  const all = ['put', 'delete', 'head', 'get', 'list'] as const
  const rule = (on: FaultyRule['on'], share: number, fault: ProviderFault): FaultyRule => ({
    ...(on === undefined ? {} : { on }),
    key: () => chance() < share,
    fault,
  })
  const down: ProviderFault = { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown' }
  const late = [0.05, 0.4, 1].map(part => rule(['put', 'delete'], 0.05, { kind: 'late', ms: part * mostLateMs }))
  return {
    flaky: [
      rule(all, 0.05, { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER' }),
      rule(['put', 'delete', 'head', 'get'], 0.08, { kind: 'lose-answer' }),
      ...late,
      rule(['put', 'delete', 'head', 'get'], 0.05, { kind: 'slow', ms: 3_000 }),
      rule(['get', 'put', 'list'], 0.04, { kind: 'cut', after: 10 }),
      rule('get', 0.02, { kind: 'corrupt', atByte: 3 }),
      rule('get', 0.02, { kind: 'short', after: 5 }),
      rule('get', 0.02, { kind: 'drip', bytes: 4_096, ms: 200 }),
      ...(lies > 0 ? [rule(['put', 'delete'], lies, { kind: 'lie' }), rule('head', lies, { kind: 'absent' })] : []),
    ],
    down: [rule(all, 1, down), { on: 'learn', fault: down }],
    throttling: [
      rule(['put', 'delete', 'head', 'get'], 0.5, {
        kind: 'fail',
        code: 'UNAVAILABLE',
        reason: 'THROTTLED',
        retryAfterMs: 2_000,
      }),
    ],
    hanging: [
      rule(['put', 'delete', 'head', 'get', 'list'], 0.3, { kind: 'hang' }),
      rule(['get', 'put', 'list'], 0.2, { kind: 'stall', after: 10 }),
    ],
    slow: [rule(['put', 'delete', 'head', 'get'], 0.5, { kind: 'slow', ms: 1_500 })],
    denied: [rule(all, 1, { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT' })],
  }
}
