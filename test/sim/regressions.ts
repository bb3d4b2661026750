import { leastHoldMs, type Plan } from './plan.ts'

// What most of these worlds have; each says where it has something else.
const store: Plan['store'] = {
  holdMs: leastHoldMs,
  ack: 'local',
  keys: 'strict',
  cacheBytes: 0,
  maxStageBytes: 10_000_000,
  hedge: false,
  scrub: false,
}
const machine: Plan['machines'][number] = { processes: 1, skewMs: 0 }
const provider: Plan['providers'][number] = { weakness: [], lies: 0 }
const put = { what: 'put', as: 'bytes', isConditional: false, abortMs: undefined } as const

/** The worlds that showed a bug, as small as they could be made. */
export const regressions: readonly { readonly name: string; readonly plan: Plan }[] = [
  {
    name: 'nodes that meet an empty bucket at once agree on its identity, also where the service cannot create only (seed 234)',
    plan: {
      seed: 234,
      engine: 'memory',
      machines: [
        { ...machine, skewMs: 5657 },
        { ...machine, skewMs: 70243 },
        { ...machine, skewMs: 150243 },
      ],
      providers: [
        { ...provider, weakness: ['createIfAbsent'] },
        { ...provider, weakness: ['replaceIf'] },
      ],
      store: { ...store, holdMs: leastHoldMs + 1_000 },
      isNew: false,
      steps: [
        { what: 'delete', slot: 2, key: 'k/0', isConditional: false, at: 1782.244 },
        { ...put, slot: 0, key: 'k/0', body: 'body 234.9', size: 142, as: 'stream', at: 1855.498 },
      ],
      endMs: 2000,
    },
  },
  {
    name: 'a put from a clock that is behind does not come back over a delete from one that is ahead and was looked at for the last time (seed 10286, I12, I13)',
    plan: {
      seed: 10286,
      engine: 'memory',
      machines: [
        { ...machine, skewMs: 33411 },
        { processes: 2, skewMs: -103403 },
        { ...machine, skewMs: -175821 },
      ],
      providers: [provider, provider],
      store,
      isNew: false,
      steps: [
        { what: 'delete', slot: 0, key: 'k/2', isConditional: false, at: 7442.989 },
        { ...put, slot: 2, key: 'k/2', body: 'body 10286.1', size: 180, at: 113682.995 },
      ],
      endMs: 150000,
    },
  },
  {
    name: 'a process whose disk failed when it looked once for the mark of a poisoned directory does not take it for poisoned for ever (seed 15004)',
    plan: {
      seed: 15004,
      engine: 'memory',
      machines: [machine, machine],
      providers: [provider, provider],
      store: { ...store, ack: 'one' },
      isNew: false,
      steps: [
        { what: 'disk', machine: 1, mood: 'failing', ms: 20000, at: 609.994 },
        { ...put, slot: 1, key: 'k/1', body: 'the same', size: 128, as: 'slow stream', at: 638.682 },
        { what: 'delete', slot: 1, key: 'k/0', isConditional: false, at: 1833.049 },
      ],
      endMs: 2000,
    },
  },
  {
    name: 'a process that stood still for longer than a refused conditional write is remembered does not take it for kept (seed 17206)',
    plan: {
      seed: 17206,
      engine: 'memory',
      machines: [{ ...machine, processes: 2 }],
      providers: [provider, { ...provider, lies: 0.02 }],
      store: { ...store, holdMs: 160_000 },
      isNew: false,
      steps: [
        { what: 'delete', slot: 0, key: 'k/2', isConditional: false, at: 366.542 },
        { ...put, slot: 0, key: 'k/1', body: 'the same', size: 188, at: 579.43 },
        { ...put, slot: 0, key: 'k/3', body: 'body 17206.5', size: 37162, at: 724.329 },
        { what: 'delete', slot: 0, key: 'k/0', isConditional: false, at: 790.658 },
        { ...put, slot: 0, key: 'k/3', body: 'body 17206.9', size: 22791, at: 891.449 },
        { ...put, slot: 0, key: 'k/1', body: 'body 17206.19', size: 109, at: 996.65 },
        { ...put, slot: 0, key: 'k/2', body: 'body 17206.3', size: 64, at: 1004.721 },
        { what: 'delete', slot: 0, key: 'k/3', isConditional: true, at: 1067.195 },
        {
          ...put,
          slot: 0,
          key: 'k/3',
          body: 'body 17206.15',
          size: 104,
          as: 'slow stream',
          isConditional: true,
          at: 1143.719,
        },
        { what: 'stop', slot: 0, ms: 90000, at: 1194.632 },
      ],
      endMs: 2000,
    },
  },
  {
    name: 'a conditional delete whose answer was lost is not said to be refused because an older put took that place: its marker may still arrive (seed 9674, I14, I15)',
    plan: {
      seed: 9674,
      engine: 'memory',
      machines: [
        { ...machine, skewMs: 87263 },
        { ...machine, skewMs: 146810 },
        { ...machine, skewMs: 67693 },
      ],
      providers: [provider, provider],
      store: { ...store, holdMs: 160_000 },
      isNew: false,
      steps: [
        { ...put, slot: 0, key: 'k/3', body: 'body 9674.10', size: 51, at: 3680.326 },
        { ...put, slot: 1, key: 'k/0', body: 'body 9674.11', size: 18, at: 4406.106 },
        { what: 'list', slot: 1, at: 10387.552 },
        { what: 'mood', provider: 0, mood: 'flaky', ms: 40000, at: 11367.811 },
        { what: 'delete', slot: 1, key: 'k/3', isConditional: true, at: 14559.059 },
        { what: 'get', slot: 1, key: 'k/3', abortMs: undefined, at: 14565.075 },
        { what: 'head', slot: 2, key: 'k/1', abortMs: undefined, at: 16460.022 },
        { ...put, slot: 2, key: 'k/3', body: 'body 9674.4', size: 55, as: 'slow stream', at: 16967.424 },
      ],
      endMs: 20000,
    },
  },
]
