import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { main } from '../../src/cli/main.ts'
import { checkDirectory } from '../support/directory.ts'
import { screenOf } from './screen.ts'

const root = join(import.meta.dirname, '..', '..')
const bin = join(root, 'src', 'cli', 'bin.ts')
const fromSource = join(root, 'test', 'support', 'from-source.ts')

/** The same in this process, for what is only about arguments and files: a child takes its time to start. */
export async function inProcess(cwd: string, args: string): Promise<Ended> {
  const written = { stdout: '', stderr: '' }
  const into = (name: keyof typeof written) =>
    new Writable({
      decodeStrings: false,
      write(text: string, _, done) {
        written[name] += text
        done()
      },
    })
  const io = {
    stdout: into('stdout'),
    stderr: into('stderr'),
    stdin: Readable.from([]),
    cwd,
    env: {},
    signal: new AbortController().signal,
  }
  const code = await main(wordsOf(args), io)
  return { code, ...written }
}

/** Half the time of a short command is reading its own sources. */
const compileCache = join(tmpdir(), 'holdfast-cli-test-cache')

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves when one of its streams has this text; rejects when it ended without. */
  said(text: string): Promise<void>
}

/** A folder as that of an app: a config file, two providers in folders, and a directory for the store. Its processes end with its scope. */
export interface Place extends AsyncDisposable {
  readonly path: string
  /** Runs `holdfast` there, as a child, without a terminal. */
  run(args: string, options?: RunOptions): Promise<Ended>
  start(args: string, options?: RunOptions): Running
  /** The same on a terminal of 100 columns; answers what is to be seen at the end. Types `keys` when it is asked, or when it shows `when`. */
  screen(args: string, options?: Typing): Promise<{ readonly code: number; readonly screen: string }>
  write(file: string, text: string): Promise<void>
}

export interface Typing {
  readonly keys?: string
  readonly when?: string
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Both streams through one pipe, in the order in which they were written; all is `stdout` then. */
  readonly isMerged?: boolean
}

/** `config`: options over the usual ones. */
export async function place(config: object | 'no config' = {}): Promise<Place> {
  const path = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-cli-'))
  await Promise.all(['a', 'b', 'c'].map(name => mkdir(join(path, name))))
  const children: Running[] = []
  const start = (args: string, options: RunOptions = {}) => {
    const running = begin(path, args, options)
    children.push(running)
    return running
  }
  const here: Place = {
    path,
    start,
    run: (args, options) => start(args, options).ended,
    screen: (args, options = {}) => onTerminal(path, args, options),
    write: (file, text) => writeFile(join(path, file), text),
    async [Symbol.asyncDispose]() {
      for (const { child } of children) child.kill('SIGKILL')
      await Promise.all(children.map(({ ended }) => ended))
      const store = join(path, 'store')
      if (existsSync(join(store, 'journal.sqlite'))) await checkDirectory(store, { orphans: 'allowed' })
      await rm(path, { recursive: true, force: true })
    },
  }
  if (config !== 'no config') {
    const options = { directory: join(path, 'store'), ...spec(path), holdMs: 0, ...config }
    await here.write('holdfast.config.json', JSON.stringify(options))
  }
  return here
}

export function spec(path: string): { readonly primary: string; readonly secondary: string } {
  return { primary: `fs:${path}/a?name=a`, secondary: `fs:${path}/b?name=b` }
}

/** Arguments in quotes may have spaces, or be empty. */
function wordsOf(args: string): string[] {
  return Array.from(args.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, bare]) => quoted ?? bare ?? '')
}

function command(args: string): string[] {
  return ['--import', fromSource, bin, ...wordsOf(args)]
}

function environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { NO_COLOR: _, FORCE_COLOR: __, ...env } = process.env
  return { ...env, NODE_COMPILE_CACHE: compileCache, ...more }
}

function begin(cwd: string, args: string, options: RunOptions): Running {
  const merge = options.isMerged === true ? ['-c', 'exec "$@" 2>&1', 'sh', process.execPath] : []
  const child = spawn(merge.length > 0 ? 'sh' : process.execPath, [...merge, ...command(args)], {
    cwd: options.cwd ?? cwd,
    env: environment(options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // A command that ends without reading it: its answer says why.
  child.stdin.on('error', () => {}).end(options.stdin ?? '')
  const ended = new Promise<Ended>(resolve => child.once('close', code => resolve({ code, stdout, stderr })))
  return {
    child,
    ended,
    async said(text) {
      while (!stdout.includes(text) && !stderr.includes(text)) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`ended without saying ${text}: ${stdout}${stderr}`)
        await Promise.race([new Promise(resolve => setTimeout(resolve, 20)), ended])
      }
    },
  }
}

/** Of util-linux: gives a child a real terminal. */
export const hasTerminal: boolean =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false

async function onTerminal(
  cwd: string,
  args: string,
  { keys, when = '[y/N]' }: Typing,
): Promise<{ readonly code: number; readonly screen: string }> {
  const quoted = [process.execPath, ...command(args)].map(word => `'${word}'`).join(' ')
  const child = spawn('script', ['-qec', `stty cols 100 rows 40; ${quoted}`, '/dev/null'], {
    cwd,
    env: environment({ TERM: 'xterm' }),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  let unasked = keys
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more
    if (unasked !== undefined && text.includes(when)) {
      child.stdin.write(unasked)
      unasked = undefined
    }
  })
  const code = await new Promise<number>(resolve => child.once('close', status => resolve(status ?? -1)))
  return { code, screen: screenOf(text) }
}

/** What differs from run to run, by a word each. */
export function normalised(text: string, path: string): string {
  return text
    .replaceAll(path, '<place>')
    .replaceAll(/\b[0-9a-f]{32}\b/g, '<version>')
    .replaceAll(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, '<time>')
    .replaceAll(/\b\d+ m \d+ s\b|\b\d+ (ms|s)\b/g, '<duration>')
    .replaceAll(/[\d,.]+( [KMG]?i?B)?\/s\b/g, '<rate>')
    .replaceAll(/ · <rate>| · <duration> left/g, '')
}
