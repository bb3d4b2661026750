import { createReadStream, createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Command, Option } from 'commander'
import type { AckLevel, PutOptions, StoredObject } from '../../index.ts'
import { severally, wholeNumber } from '../arguments.ts'
import { Failed, Usage } from '../failure.ts'
import { bytesText, plain } from '../format.ts'
import type { Io } from '../io.ts'
import { type Act, type Context, openStore } from '../store.ts'

export function addObjects(program: Command, act: Act): void {
  program
    .command('put')
    .description('stores a file, or what comes through stdin')
    .argument('<key>')
    .argument('[file]', 'a file; - is stdin', '-')
    .option('--content-type <type>')
    .option('--cache-control <value>')
    .option('--content-disposition <value>')
    .option('--content-encoding <value>')
    .option('--content-language <value>')
    .addOption(new Option('--metadata <name=value>', 'kept with it; may be given several times').argParser(severally))
    .addOption(new Option('--ack <level>', 'waits until one provider has it, or all').choices(['local', 'one', 'all']))
    .addOption(new Option('--if-absent', 'only if there is none yet').conflicts('ifVersion'))
    .option('--if-version <version>', 'only over this version')
    .action(act(put))
  program
    .command('get')
    .description('writes an object to a file, or to stdout; from whoever can give it')
    .argument('<key>')
    .argument('[file]', 'a file; - is stdout', '-')
    .action(act(get))
  program
    .command('ls')
    .description('lists keys in the order of their bytes')
    .argument('[prefix]', 'only keys that begin with it', '')
    .option('--delimiter <text>', 'keys that share what comes before it, once: /')
    .option('--start-after <key>')
    .addOption(new Option('--limit <count>', 'ends after so many').argParser(wholeNumber(1)))
    .action(act(list))
}

interface PutFlags {
  readonly contentType?: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly contentLanguage?: string
  readonly metadata?: readonly string[]
  readonly ack?: AckLevel
  readonly ifAbsent?: boolean
  readonly ifVersion?: string
}

async function put(context: Context, key: string, file: string, flags: PutFlags): Promise<void> {
  const { io, say } = context
  const { metadata, ifAbsent, ifVersion, ...rest } = flags
  const options: PutOptions = {
    ...rest,
    ...(metadata === undefined ? {} : { metadata: metadataOf(metadata) }),
    ...(ifAbsent === true ? { if: 'absent' } : ifVersion === undefined ? {} : { if: { version: ifVersion } }),
    signal: io.signal,
  }
  // What waits for providers needs somebody who sends it; the rest leaves that to whoever replicates the directory.
  const waits = options.if !== undefined || (flags.ack ?? 'local') !== 'local'
  const body = await bodyOf(io, file)
  try {
    await using opened = await openStore(context, { run: waits ? 'here' : 'external', missing: 'make' })
    if (file === '-' && io.stdin.isTTY === true) say.note('reading from the terminal: Ctrl-D ends the body')
    const { version, size, crc32c, etag } = await opened.store.put(key, body, options)
    await say.json({ key, version, size, crc32c, etag })
    await say.line(`${plain(key)}  ${bytesText(size)}  ${version}`)
    if (!waits)
      say.note('safe on local disk; it goes to the providers with the app, `holdfast worker` or `holdfast drain`')
  } finally {
    body.destroy()
  }
}

async function bodyOf(io: Io, file: string): Promise<Readable> {
  if (file === '-') return io.stdin
  const path = resolve(io.cwd, file)
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new Usage(`${plain(path)}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`)
  })
  if (found.isDirectory()) throw new Usage(`${plain(path)} is a directory: put takes one file`)
  return createReadStream(path)
}

function metadataOf(pairs: readonly string[]): Record<string, string> {
  const metadata: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new Usage(`--metadata wants name=value, got ${plain(pair)}`)
    metadata[pair.slice(0, at)] = pair.slice(at + 1)
  }
  return metadata
}

async function get(context: Context, key: string, file: string): Promise<void> {
  const { io, say } = context
  if (say.isJson && file === '-')
    throw new Usage('get --json wants a FILE: stdout cannot have both the object and the JSON')
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  const object = await opened.store.get(key, { signal: io.signal })
  if (object === undefined) throw new Failed(`there is no object ${plain(key)}`)
  if (file === '-') {
    for await (const chunk of object.body) await say.bytes(chunk)
    return
  }
  await save(object, resolve(io.cwd, file), io)
  const { info, from, stale } = object
  await say.json({ ...info, from, stale, file: resolve(io.cwd, file) })
  say.note(`${plain(key)}: ${bytesText(info.size)} from ${plain(from)}${stale ? ', which may be out of date' : ''}`)
}

/** Under another name until it is whole: a get that breaks off leaves what was there. */
async function save(object: StoredObject, path: string, io: Io): Promise<void> {
  const draft = `${path}.holdfast-${process.pid}`
  try {
    await pipeline(Readable.fromWeb(object.body), createWriteStream(draft, { flags: 'wx' }), { signal: io.signal })
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    const { code, message } = error as NodeJS.ErrnoException
    const isDisk = typeof code === 'string' && /^E[A-Z]+$/.test(code)
    throw isDisk ? new Failed(`${plain(path)}: ${message}`, { cause: error }) : error
  }
}

interface ListFlags {
  readonly delimiter?: string
  readonly startAfter?: string
  readonly limit?: number
}

async function list(context: Context, prefix: string, { limit, ...flags }: ListFlags): Promise<void> {
  const { io, say } = context
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  let seen = 0
  for await (const entry of opened.store.list({ prefix, ...flags, signal: io.signal })) {
    await say.json(entry)
    if (entry.type === 'prefix') await say.line(`${' '.repeat(34)}${plain(entry.prefix)}`)
    else {
      const at = entry.modifiedAt.toISOString().slice(0, 19).replace('T', ' ')
      await say.line(`${at}  ${bytesText(entry.size).padStart(11)}  ${plain(entry.key)}`)
    }
    if (++seen === limit) return
  }
}
