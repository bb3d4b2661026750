import { chmodSync, cpSync, existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'
import { claimedVersion, entryName } from '../../src/core/entry.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Disk, DiskFile } from '../../src/core/ports.ts'
import type { Provider } from '../../src/core/provider.ts'
import { openWith } from '../../src/holdfast/open.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { FaultyRule, Faults } from '../../src/testing/faulty/rules.ts'
import { type WorldClock, worldClock } from '../converge/clock.ts'
import { absent, App, type Content, contentOf } from './app.ts'
import { trappedJournal, type Watch } from './journal.ts'
import { type Fault, providerFault, Trap } from './trap.ts'

export const holdMs = 60_000
/** Longer than any wait of the library, but for what waits for a person. */
const patienceMs = 4 * 3_600_000
/** Who waits for a journal that failed looks once a second of real time. */
const patienceHereMs = 2_500

/** The disk of this machine without its syncs: no power is cut here, and a copy of the directory sees what was written. */
const unsynced: Disk = {
  create: async path => quick(await nodeDisk.create(path)),
  read: path => nodeDisk.read(path),
  rename: (from, to) => nodeDisk.rename(from, to),
  link: (from, to) => nodeDisk.link(from, to),
  unlink: path => nodeDisk.unlink(path),
  makeDirectory: path => nodeDisk.makeDirectory(path),
  names: path => nodeDisk.names(path),
  stat: path => nodeDisk.stat(path),
  syncDirectory: async () => {},
  // As if it were one that keeps things: it may be in memory.
  fileSystem: async () => ({ type: 0xef53, freeBytes: 1e12 }),
}

/** Where the directories are: in memory, where the system has a place for that. */
const place = process.env['HOLDFAST_TEST_DIR'] ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir())

function quick(file: DiskFile): DiskFile {
  return {
    write: (bytes, position) => file.write(bytes, position),
    read: (into, position) => file.read(into, position),
    sync: async () => {},
    size: () => file.size(),
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file.close(),
  }
}

/** One app, one directory, two services or three, and a fault. */
export class World implements AsyncDisposable {
  readonly clock: WorldClock = worldClock(Date.now())
  readonly app = new App()
  readonly trap: Trap
  readonly services: readonly Provider[]
  /** What must not have happened, besides what the app saw. */
  readonly faults: string[] = []
  private readonly states: readonly Faults[]
  private readonly providers: readonly Provider[]
  private readonly options: Partial<HoldfastOptions>
  private readonly root: string
  private directory = 'store'
  /** Whether the open store brings anything to a provider. */
  replicates = true
  /** Bits of bodies on local disk were flipped. */
  isDamaged = false
  private lives = 0
  /** How many calls each service had been asked for when the fault was armed. */
  private callsBefore: readonly number[] = []

  private constructor(root: string, fault: Fault, options: Partial<HoldfastOptions>, services: number) {
    this.root = root
    this.options = options
    this.trap = new Trap(fault)
    this.services = ['a', 'b', 'c'].slice(0, services).map(name => memory({ name, clock: this.clock }))
    this.states = this.services.map((): Faults => ({ calls: [] }))
    this.providers = this.services.map((service, index) =>
      faulty(service, this.states[index] as Faults, { clock: this.clock }),
    )
  }

  static async make(fault: Fault, options: Partial<HoldfastOptions>, services: number): Promise<World> {
    const root = await mkdtemp(join(place, 'holdfast-nth-'))
    return new World(root, fault, options, services)
  }

  get path(): string {
    return join(this.root, this.directory)
  }

  /** From here on the fault may happen. */
  arm(): void {
    this.trap.isArmed = true
    this.app.signal = this.trap.fault.port === 'signal' ? this.trap.caller.signal : undefined
    const { port, kind, at } = this.trap.fault
    this.callsBefore = this.states.map(({ calls = [] }) => calls.length)
    const seen: FaultyRule = {
      fault: { kind: 'slow', ms: 0 },
      key: key => {
        this.trap.meets('provider', key, port === 'signal')
        return false
      },
    }
    const rules: readonly FaultyRule[] =
      port === 'provider'
        ? at.map((n, index) => ({ fault: providerFault(kind), skip: n - 1 - index, times: 1 }))
        : [seen]
    for (const state of this.states) state.rules = rules
  }

  /** All faults are over. Answers how many calls could have failed, and whether one did. */
  disarm(): { readonly counted: number; readonly sprung: readonly string[] } {
    if (!this.trap.isArmed) return { counted: this.trap.calls.length, sprung: this.trap.sprung }
    this.trap.disarm()
    this.app.signal = undefined
    for (const [index, state] of this.states.entries()) {
      const calls = (state.calls ?? []).slice(this.callsBefore[index])
      state.rules = []
      const name = (call: (typeof calls)[number]) => `${this.services[index]?.name}.${call.operation} ${call.key ?? ''}`
      if (this.trap.fault.port !== 'provider') continue
      const isCut = this.trap.fault.kind === 'cut'
      const about = calls.filter(({ operation }) => !isCut || ['get', 'put', 'list'].includes(operation))
      const mayLose = this.trap.fault.kind !== 'lost'
      const counted = about.filter(({ operation }) => mayLose || (operation !== 'list' && operation !== 'sign'))
      this.trap.calls.push(...counted.map(name))
      this.trap.sprung.push(...counted.filter(({ fault }) => fault !== undefined).map(name))
    }
    return { counted: this.trap.calls.length, sprung: this.trap.sprung }
  }

  /** Opens the directory; what it rejects with is the app's to judge. */
  async open(more: Partial<HoldfastOptions> & { readonly services?: number } = {}): Promise<void> {
    const { services = this.services.length, ...options } = more
    const [primary, secondary, ...mirrors] = this.providers.slice(0, services) as [Provider, Provider, ...Provider[]]
    const store = await this.drive(
      openWith(
        { directory: this.path, primary, secondary, mirrors, holdMs, ...this.options, ...options },
        {
          clock: this.trap.clock(this.clock),
          disk: this.trap.disk(this.watched(unsynced)),
          random: seededRandom(++this.lives),
          openJournal: trappedJournal(this.trap, this.watch),
        },
      ),
      'opening',
    )
    this.app.store = store
    this.replicates = options.replication?.run !== 'external'
  }

  async close(): Promise<void> {
    await this.drive(this.app.store.close(), 'closing')
    this.app.store = undefined
  }

  /** The process is gone, and another one finds what it left: the directory as it is at this moment. */
  async drop(): Promise<void> {
    const image = `store-${this.lives}`
    cpSync(this.path, join(this.root, image), { recursive: true, preserveTimestamps: true })
    // Which rights directories have is not copied.
    for (const tree of ['.', 'bodies', 'cache', 'drafts']) chmodSync(join(this.root, image, tree), 0o700)
    await this.close().catch(() => {})
    this.directory = image
  }

  /** A service no longer has it, and nobody asked for that. */
  async lose(service: number, key: string): Promise<void> {
    await this.services[service]?.delete(key, undefined, new AbortController().signal)
  }

  /** A bit of every body on local disk flips. */
  async damage(): Promise<void> {
    this.isDamaged = true
    for (const file of await readdir(join(this.path, 'bodies'))) {
      const path = join(this.path, 'bodies', file)
      const bytes = await readFile(path)
      bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
      await writeFile(path, bytes)
    }
  }

  /** Leaves a file in `drafts`, as a process that was killed does. */
  async litter(): Promise<void> {
    await writeFile(join(this.path, 'drafts', 'ab'.repeat(16)), 'half a body', { mode: 0o600 })
  }

  async poison(): Promise<void> {
    await writeFile(join(this.path, 'poisoned'), 'an earlier process\n', { mode: 0o600 })
  }

  /** Time passes until it settles. */
  async drive<T>(work: Promise<T>, what: string, mostMs: number = patienceMs): Promise<T> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    work.then(over, over)
    const begun = performance.now()
    for (let waited = 0, step = 0; !isOver; waited += step) {
      if (waited > mostMs && (mostMs < patienceMs || performance.now() - begun > patienceHereMs))
        throw new Error(`${what} does not end (I33)`)
      await this.clock.advance(step)
      step = waited < 2_000 ? 1_000 : waited < 120_000 ? 10_000 : 60_000
    }
    return work
  }

  /**
   * Until everything is everywhere, twice looked at. What was stamped or postponed by a clock that was a day off may take a day: nobody has to be there
   * meanwhile. A body that could not be read once is taken for damaged, and tried again within the hour; so is one that is, and that nobody could give anew.
   */
  async drain(): Promise<void> {
    const { port } = this.trap.fault
    const drain = (mostMs?: number) => this.drive(this.app.store.drain({ until: 'verified' }), 'draining', mostMs)
    try {
      await drain(port === 'clock' ? 20 * 60_000 : undefined)
    } catch (error) {
      const reason = error instanceof HoldfastError ? error.reason : undefined
      if ((port === 'disk' || this.isDamaged) && reason === 'LOCAL_CORRUPT') await this.clock.advance(3_700_000)
      else if (port === 'clock' && (reason === 'CLOCK' || !(error instanceof HoldfastError))) {
        await this.close()
        await this.clock.advance(25 * 3_600_000)
        await this.open()
      } else throw error
      await drain()
    }
  }

  /** What a service has under a key, past all faults. */
  async contentAt(service: Provider, key: string): Promise<Content> {
    const found = await service.get({ key, range: undefined, token: undefined }, new AbortController().signal)
    if (found === undefined) return absent
    const { [entryName]: _ours, ...metadata } = found.object.metadata
    return contentOf(Buffer.concat(await Array.fromAsync(found.body)), found.object.headers.contentType, metadata)
  }

  /** What nobody needs any more, of files and rows. Nobody has the directory open. */
  async leftovers(): Promise<readonly string[]> {
    const found = async (tree: string) => (await readdir(join(this.path, tree))).map(file => `${tree}/${file}`)
    const files = [...(await found('drafts')), ...(await found('bodies'))]
    const database = new Database(join(this.path, 'journal.sqlite'), { readonly: true })
    try {
      const trash = database.prepare<[], string>("SELECT 'trash ' || file FROM trash").pluck().all()
      const writes = database.prepare<[], string>("SELECT state || ' write of ' || key FROM writes").pluck().all()
      return [...files, ...trash, ...writes]
    } finally {
      database.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true })
  }

  /** Nothing is released before every service was looked at twice, the second time after the hold (I18). */
  private readonly watch: Watch = async (op, args, database) => {
    if (op !== 'release') return
    const [, writes] = args as [number, readonly { readonly seq: number }[]]
    const row = database.prepare<
      [number],
      { key: string; version: string; kind: string; state: string; targets: number }
    >('SELECT key, version, kind, state, targets FROM writes WHERE seq = ?')
    for (const { seq } of writes) {
      const write = row.get(seq)
      if (write?.state !== 'open') continue
      for (const [index, service] of this.services.entries()) {
        if ((write.targets & (1 << index)) === 0) continue
        const object = await service.head(write.key, new AbortController().signal)
        const version = object === undefined ? undefined : claimedVersion(object)
        const isThere =
          write.kind === 'put'
            ? version !== undefined && version >= write.version
            : object === undefined || (version ?? '') > write.version
        const about = `${write.kind} of ${write.key} (${write.version})`
        if (!isThere) this.faults.push(`${about} is released, and ${service.name} has ${version} (I18)`)
        const calls = (this.states[index]?.calls ?? []).filter(({ key }) => key === write.key)
        const isDone = ({ state, fault }: (typeof calls)[number]) => state === 'resolved' || fault === 'lose-answer'
        const sent = calls.findLast(call => call.operation === write.kind && isDone(call))
        const looked = calls.findLast(
          ({ operation, state }) => ['head', 'get'].includes(operation) && state === 'resolved',
        )
        if (sent !== undefined && (looked === undefined || looked.at < sent.at + holdMs))
          this.faults.push(
            `${about} is released ${looked === undefined ? 'without a second look' : `after ${looked.at - sent.at} ms`} at ${service.name} (I18)`,
          )
      }
    }
  }

  /** No file goes that a row names (I19, I21). */
  private watched(disk: Disk): Disk {
    return {
      ...disk,
      unlink: async path => {
        if (path.startsWith(join(this.path, 'bodies'))) this.demandFree(basename(path))
        await disk.unlink(path)
      },
    }
  }

  private demandFree(file: string): void {
    const database = new Database(join(this.path, 'journal.sqlite'), { readonly: true })
    try {
      const sql =
        "SELECT (SELECT count(*) FROM writes WHERE file = @file AND state != 'refused') + (SELECT count(*) FROM parts WHERE file = @file)"
      if (database.prepare<unknown[], number>(sql).pluck().get({ file }) !== 0)
        this.faults.push(`the body ${file} goes, and a row names it (I19)`)
    } finally {
      database.close()
    }
  }
}
