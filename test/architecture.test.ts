import { builtinModules } from 'node:module'
import { describe, expect, test } from 'vitest'
import { memberName, type SourceFile, sourcesIn, type Tree, walk } from './house/sources.ts'

// docs/architecture.md in executable form. What is allowed here beyond its picture says why.

const sources = sourcesIn('src')

/** The folder of src, or the file that stands in it by itself: `core`, `index`. */
function partOf(path: string): string {
  return (path.split('/')[1] ?? '').replace(/\.ts$/, '')
}

const parts: Readonly<Record<string, { readonly values: readonly string[]; readonly types?: readonly string[] }>> = {
  core: { values: [] },
  stage: { values: ['core'] },
  journal: { values: ['core'] },
  read: { values: ['core', 'journal', 'stage'] },
  replicate: { values: ['core', 'journal', 'stage'] },
  reconcile: { values: ['core', 'journal', 'stage'] },
  holdfast: { values: ['core', 'journal', 'stage', 'read', 'replicate', 'reconcile'] },
  // Types of the parts that appear in the signatures of the store are public names.
  index: { values: ['holdfast', 'core'], types: ['read', 'replicate', 'reconcile'] },
  providers: { values: ['core'] },
  testing: { values: ['core'] },
  's3-client': { values: ['index', 'holdfast', 'core'] },
  cli: { values: ['index', 'providers', 'core'] },
}

/** Packages and built-in modules, beside types of built-in modules. The drivers' own are below. */
const modules: Readonly<Record<string, readonly string[]>> = {
  core: ['node:crypto', 'node:module', 'node:stream', 'node:timers/promises', 'node:util', '@node-rs/crc32'],
  stage: ['node:crypto', 'node:fs', 'node:path'],
  journal: ['node:fs', 'node:path', 'node:worker_threads', 'better-sqlite3'],
  read: ['node:crypto', 'node:stream'],
  replicate: ['node:crypto', 'p-retry'],
  reconcile: ['node:crypto'],
  holdfast: ['node:path', 'node:util'],
  index: [],
  's3-client': ['node:crypto', 'node:stream', 'node:timers/promises', '@aws-sdk/client-s3'],
  cli: [
    'node:events',
    'node:fs',
    'node:fs/promises',
    'node:os',
    'node:path',
    'node:readline',
    'node:readline/promises',
    'node:stream',
    'node:stream/promises',
    'node:timers/promises',
    'node:url',
    'node:util',
    'commander',
  ],
}

const drivers: Readonly<Record<string, readonly string[]>> = {
  s3: ['@aws-sdk/client-s3', '@aws-sdk/s3-request-presigner'],
  gcs: ['@google-cloud/storage'],
  azure: ['@azure/storage-blob'],
  // A lock between processes that the kernel takes back when its holder dies: SQLite has one, Node has none.
  fs: ['better-sqlite3'],
  memory: [],
}

describe('who imports whom', () => {
  test('every part of src is in the picture', () => {
    const unknown = new Set(sources.map(({ path }) => partOf(path)).filter(part => !(part in parts)))
    expect([...unknown]).toEqual([])
  })

  test('a part imports only the parts that the picture shows below it, types included', () => {
    const wrong = edges()
      .filter(({ from, to }) => partOf(from) !== partOf(to))
      .filter(({ from, to, isType }) => {
        const { values = [], types = [] } = parts[partOf(from)] ?? {}
        return !values.includes(partOf(to)) && !(isType && types.includes(partOf(to)))
      })
      .map(({ from, to, isType }) => `${from} imports ${isType ? 'types of ' : ''}${to}`)
    expect(wrong).toEqual([])
  })

  test('what is imported is there, and is named with its extension', () => {
    const known = new Set(sources.map(({ path }) => path))
    expect(edges().filter(({ to }) => !known.has(to))).toEqual([])
  })

  test('no file imports itself through others', () => {
    const values = edges().filter(({ isType }) => !isType)
    expect(cycles(values)).toEqual([])
  })

  test('no file needs itself through others for its types either', () => {
    expect(cycles(edges())).toEqual([])
  })
})

describe('what comes from outside', () => {
  const outside = sources.flatMap(({ path, imports }) =>
    imports.filter(({ file }) => file === undefined).map(each => ({ path, part: partOf(path), ...each })),
  )

  test('a part uses only the packages and built-in modules that are listed for it: no disk and no network in core', () => {
    const wrong = outside
      .filter(({ part, from, isType }) => part in modules && !(isType && isBuiltin(from)))
      .filter(({ part, from }) => !modules[part]?.includes(from))
    expect(wrong.map(({ path, from }) => `${path} imports ${from}`)).toEqual([])
  })

  test('built-in modules are named as such', () => {
    expect(outside.filter(({ from }) => builtinModules.includes(from)).map(({ path }) => path)).toEqual([])
  })

  test('a driver knows the SDK of its own service only, and no other driver', () => {
    const wrong = sources
      .filter(({ path }) => path.startsWith('src/providers/'))
      .flatMap(({ path, imports }) =>
        imports
          .filter(({ from, file }) => {
            const own = driverOf(path)
            if (file !== undefined) return own !== undefined && ![own, undefined].includes(driverOf(file))
            return !isBuiltin(from) && !(own !== undefined && drivers[own]?.includes(from))
          })
          .map(({ from }) => `${path} imports ${from}`),
      )
    expect(wrong).toEqual([])
  })

  test('an SDK is imported for its types only: it is loaded when a provider is made, so that nobody needs the SDKs of others', () => {
    const sdks = [drivers['s3'], drivers['gcs'], drivers['azure']].flat()
    expect(outside.filter(({ from, isType }) => sdks.includes(from) && !isType)).toEqual([])
  })

  test('SQLite is reached in the journal, and where the fs driver locks', () => {
    const users = outside.filter(({ from }) => from === 'better-sqlite3').map(({ path }) => path)
    const others = users.filter(path => !path.startsWith('src/journal/'))
    expect(others).toEqual(['src/providers/fs/lock-worker.ts'])
  })

  test('nothing is imported while it runs but the config file of the command line, and modules are loaded by name only to find an SDK', () => {
    expect(places(node => node.type === 'ImportExpression')).toEqual(['src/cli/config.ts'])
    expect(places(node => node.type === 'Identifier' && node['name'] === 'createRequire')).toEqual(['src/core/sdk.ts'])
  })
})

describe('who writes to a cloud', () => {
  test('only replicate/ calls put, delete and abandon of a provider', () => {
    // Told from those of Maps and Sets by the number of arguments. `guarded` hands a call on to the provider that it wraps.
    const own = ['core', 'stage', 'journal', 'read', 'reconcile', 'holdfast', 'index']
    const writes = (node: Tree, ancestors: readonly Tree[]): boolean => {
      const name = memberName(node)
      if (name === 'put' || name === 'abandon') return true
      if (name !== 'delete') return false
      const call = ancestors.at(-1)
      return call?.type !== 'CallExpression' || call['callee'] !== node || (call['arguments'] as unknown[]).length !== 1
    }
    // A store has methods of the same names: these call those, and know no provider.
    const ofStores = ['src/holdfast/delete-many.ts', 'src/holdfast/encoded.ts', 'src/holdfast/encoded/blocked.ts']
    const found = places(writes, ({ path }) => own.includes(partOf(path)))
    expect(found.filter(path => !ofStores.includes(path))).toEqual(['src/core/guarded.ts'])
    const knowing = edges().filter(({ from, to }) => ofStores.includes(from) && to === 'src/core/provider.ts')
    expect(knowing).toEqual([])
  })

  test('and nobody takes these methods out of a provider to call them elsewhere', () => {
    const found = places((node, ancestors) => {
      if (ancestors.at(-1)?.type !== 'ObjectPattern' || node.type !== 'Property') return false
      return ['put', 'delete', 'abandon'].includes((node['key'] as Tree)['name'] as string)
    })
    expect(found.filter(path => !['replicate', 'testing'].includes(partOf(path)))).toEqual([])
  })
})

describe('what a library does not do', () => {
  /** Testing is run by people who test: it may end processes that it started for itself. */
  const ofUsers = ({ path }: SourceFile) => partOf(path) !== 'testing'

  /** It is a program, not the library: it talks to a person, and is asked to end. In one file; the rest of `cli` is given its streams and a signal. */
  const program = 'src/cli/bin.ts'

  test('it prints nothing', () => {
    const isOutput = (node: Tree) => {
      const object = node['object'] as Tree | undefined
      if (node.type !== 'MemberExpression') return false
      return (
        object?.['name'] === 'console' ||
        (object?.['name'] === 'process' && /^std(out|err)$/.test(memberName(node) ?? ''))
      )
    }
    expect(places(isOutput)).toEqual([program])
  })

  test('it does not end the process, and does not listen to its signals and errors', () => {
    const isProcess = (node: Tree) => {
      const name = memberName(node) ?? ''
      return (
        (node['object'] as Tree | undefined)?.['name'] === 'process' &&
        /^(exit|abort|kill|on|once|addListener)$/.test(name)
      )
    }
    expect(places(isProcess, ofUsers)).toEqual([program])
    // A local cloud in a process of its own: the child hears its parent, and ends with it.
    expect(places(isProcess)).toEqual([program, 'src/testing/local/spawn.ts'])
  })

  test('no module waits while it is loaded, so that require() takes it', () => {
    const isWaiting = (node: Tree, ancestors: readonly Tree[]) => {
      const isAwait =
        node.type === 'AwaitExpression' ||
        (node.type === 'ForOfStatement' && node['await'] === true) ||
        (node.type === 'VariableDeclaration' && node['kind'] === 'await using')
      return isAwait && !ancestors.some(({ type }) => /Function/.test(type) || type === 'StaticBlock')
    }
    expect(places(isWaiting)).toEqual([])
  })

  test('its timers keep no process alive', () => {
    const kept: Readonly<Record<string, string>> = {
      'src/cli/commands/worker.ts': 'is what keeps `holdfast worker` alive until it is stopped',
      'src/core/system.ts':
        'stayAlive: runs only while a caller awaits a promise of ours, and is what keeps that process alive until it settles',
      'src/providers/fs/lock.ts': 'pauses within a call that a caller awaits, for milliseconds',
      'src/providers/fs/lock-worker.ts': 'in a thread that is unref’d as a whole',
    }
    const isTimer = (node: Tree, ancestors: readonly Tree[]) => {
      const name = (node['callee'] as Tree | undefined)?.['name']
      if (node.type !== 'CallExpression' || (name !== 'setTimeout' && name !== 'setInterval')) return false
      const parent = ancestors.at(-1)
      return parent === undefined || memberName(parent) !== 'unref'
    }
    expect(places(isTimer, ofUsers)).toEqual(Object.keys(kept).toSorted())
  })

  test('time and chance come through the ports, so that a test can turn them by hand', () => {
    const wild: Readonly<Record<string, readonly string[]>> = {
      Date: ['now'],
      Math: ['random'],
      performance: ['now'],
      crypto: ['randomUUID', 'getRandomValues'],
    }
    const isWild = (node: Tree) => {
      if (node.type === 'NewExpression') {
        return (node['callee'] as Tree)['name'] === 'Date' && (node['arguments'] as unknown[]).length === 0
      }
      const object = (node['object'] as Tree | undefined)?.['name']
      if (typeof object === 'string' && wild[object]?.includes(memberName(node) ?? '')) return true
      return node.type === 'ImportSpecifier' && String((node['imported'] as Tree)['name']).startsWith('random')
    }
    const allowed: Readonly<Record<string, string>> = {
      'src/core/system.ts': 'is the ports',
      'src/journal/worker.ts': 'writes into the mark of a poisoned directory when that was, for people',
    }
    const own = ['core', 'stage', 'journal', 'read', 'replicate', 'reconcile', 'holdfast']
    expect(places(isWild, ({ path }) => own.includes(partOf(path)))).toEqual(Object.keys(allowed).toSorted())
  })
})

describe('a file is one thought', () => {
  const limit = 400
  /** Longer, on purpose. */
  const long: Readonly<Record<string, string>> = {}

  test(`no file of src has more than ${limit} lines without a reason`, () => {
    const found = sources.filter(({ lines }) => lines > limit).map(({ path }) => path)
    expect(found).toEqual(Object.keys(long).toSorted())
  })
})

interface Edge {
  readonly from: string
  readonly to: string
  readonly isType: boolean
}

function edges(): Edge[] {
  return sources.flatMap(({ path, imports }) =>
    imports.flatMap(({ file, isType }) => (file === undefined ? [] : [{ from: path, to: file, isType }])),
  )
}

/** Each way round once, written from the first of its files in the alphabet. */
function cycles(of: readonly Edge[]): string[] {
  const next = Map.groupBy(of, ({ from }) => from)
  const found = new Set<string>()
  const done = new Set<string>()
  const follow = (file: string, way: readonly string[]): void => {
    const at = way.indexOf(file)
    if (at >= 0) {
      const round = way.slice(at)
      const first = round.indexOf(round.toSorted()[0] ?? '')
      found.add([...round.slice(first), ...round.slice(0, first)].join(' → '))
    }
    if (at >= 0 || done.has(file)) return
    for (const { to } of next.get(file) ?? []) follow(to, [...way, file])
    done.add(file)
  }
  for (const file of next.keys()) follow(file, [])
  return [...found]
}

function isBuiltin(from: string): boolean {
  return from.startsWith('node:')
}

/** `s3` for what belongs to that driver alone, `undefined` for what drivers share. */
function driverOf(path: string): string | undefined {
  const name = (path.split('/')[2] ?? '').replace(/\.ts$/, '')
  return name in drivers ? name : undefined
}

/** The files in which such a node stands. */
function places(
  is: (node: Tree, ancestors: readonly Tree[]) => boolean,
  where: (file: SourceFile) => boolean = () => true,
): string[] {
  const found = new Set<string>()
  for (const file of sources.filter(where)) {
    walk(file.program, (node, ancestors) => {
      if (is(node, ancestors)) found.add(file.path)
    })
  }
  return [...found]
}
