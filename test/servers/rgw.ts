import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** A production S3 server (Ceph's object gateway, from Debian) on loopback, with its data in memory. */
export interface Rgw extends AsyncDisposable {
  readonly endpoint: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Ends it, and removes all that it wrote. */
  stop(): Promise<void>
}

const script = join(dirname(fileURLToPath(import.meta.url)), 'start-rgw.sh')
const programs = ['radosgw', 'radosgw-admin', 'ceph', 'ceph-mon', 'ceph-osd', 'monmaptool']

/** Whether it can be started here. Says loudly that tests are left out if not: `npm test` is green then without having asked a real S3. */
export function hasRgw(): boolean {
  const missing = programs.filter(program => !isInstalled(program))
  if (missing.length > 0) {
    console.warn(
      `\n*** Tests against Ceph's S3 server are SKIPPED: ${missing.join(', ')} not installed.` +
        '\n*** Debian: apt-get install radosgw ceph-mon ceph-osd ceph-common\n',
    )
  }
  return missing.length === 0
}

export async function startRgw(): Promise<Rgw> {
  for (let attempt = 1; ; attempt++) {
    const home = await mkdtemp(join(tmpdir(), 'holdfast-rgw-'))
    const [gateway, monitor] = await freePorts(2)
    try {
      await promisify(execFile)(script, [home, String(gateway), String(monitor)], { timeout: 60_000 })
      return running(home, `http://127.0.0.1:${gateway}`)
    } catch (error) {
      await clear(home)
      // Between looking for a free port and taking it, another process may have taken it.
      if (attempt === 3) throw error
    }
  }
}

function running(home: string, endpoint: string): Rgw {
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= clear(home))
  return {
    endpoint,
    credentials: { accessKeyId: 'testkey', secretAccessKey: 'testsecret' },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function clear(home: string): Promise<void> {
  const files = await readdir(join(home, 'run')).catch(() => [])
  for (const file of files.filter(name => name.endsWith('.pid'))) {
    const pid = Number(await readFile(join(home, 'run', file), 'utf8').catch(() => ''))
    if (pid > 1) endProcess(pid)
  }
  await rm(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
}

/** At once: what is in memory is not to be written anywhere. */
function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}
