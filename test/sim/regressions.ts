import { leastHoldMs, type Plan } from './plan.ts'

/** The worlds that showed a bug, as small as they could be made. */
export const regressions: readonly { readonly name: string; readonly plan: Plan }[] = [
  {
    name: 'nodes that meet an empty bucket at once agree on its identity, also where the service cannot create only (seed 234)',
    plan: {
      seed: 234,
      engine: 'memory',
      machines: [
        { processes: 1, skewMs: 5657 },
        { processes: 1, skewMs: 70243 },
        { processes: 1, skewMs: 150243 },
      ],
      providers: [
        { weakness: ['createIfAbsent'], lies: 0 },
        { weakness: ['replaceIf'], lies: 0 },
      ],
      store: {
        holdMs: leastHoldMs + 1_000,
        ack: 'local',
        keys: 'strict',
        cacheBytes: 0,
        maxStageBytes: 10_000_000,
        hedge: false,
        scrub: false,
      },
      isNew: false,
      steps: [
        { what: 'delete', slot: 2, key: 'k/0', isConditional: false, at: 1782.244 },
        {
          what: 'put',
          slot: 0,
          key: 'k/0',
          body: 'body 234.9',
          size: 142,
          as: 'stream',
          isConditional: false,
          abortMs: undefined,
          at: 1855.498,
        },
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
        { processes: 1, skewMs: 33411 },
        { processes: 2, skewMs: -103403 },
        { processes: 1, skewMs: -175821 },
      ],
      providers: [
        { weakness: [], lies: 0 },
        { weakness: [], lies: 0 },
      ],
      store: {
        holdMs: leastHoldMs,
        ack: 'local',
        keys: 'strict',
        cacheBytes: 0,
        maxStageBytes: 10_000_000,
        hedge: false,
        scrub: false,
      },
      isNew: false,
      steps: [
        { what: 'delete', slot: 0, key: 'k/2', isConditional: false, at: 7442.989 },
        {
          what: 'put',
          slot: 2,
          key: 'k/2',
          body: 'body 10286.1',
          size: 180,
          as: 'bytes',
          isConditional: false,
          abortMs: undefined,
          at: 113682.995,
        },
      ],
      endMs: 150000,
    },
  },
  {
    name: 'a process whose disk failed when it looked once for the mark of a poisoned directory does not take it for poisoned for ever (seed 15004)',
    plan: {
      seed: 15004,
      engine: 'memory',
      machines: [
        { processes: 1, skewMs: 0 },
        { processes: 1, skewMs: 0 },
      ],
      providers: [
        { weakness: [], lies: 0 },
        { weakness: [], lies: 0 },
      ],
      store: {
        holdMs: leastHoldMs,
        ack: 'one',
        keys: 'strict',
        cacheBytes: 0,
        maxStageBytes: 10_000_000,
        hedge: false,
        scrub: false,
      },
      isNew: false,
      steps: [
        { what: 'disk', machine: 1, mood: 'failing', ms: 20000, at: 609.994 },
        {
          what: 'put',
          slot: 1,
          key: 'k/1',
          body: 'the same',
          size: 128,
          as: 'slow stream',
          isConditional: false,
          abortMs: undefined,
          at: 638.682,
        },
        { what: 'delete', slot: 1, key: 'k/0', isConditional: false, at: 1833.049 },
      ],
      endMs: 2000,
    },
  },
]
