import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

/** Microsoft's emulator of Azure Blob Storage on loopback, in a process of its own. */
export interface Azurite extends AsyncDisposable {
  /** `http://127.0.0.1:<port>/devstoreaccount1`. */
  readonly endpoint: string
  readonly port: number
  readonly pid: number
  readonly accountName: string
  readonly accountKey: string
  readonly connectionString: string
  /** Ends it. What is on disk is written before, what is in memory is lost. */
  stop(): Promise<void>
}

export interface AzuriteOptions {
  /** Keeps blobs in this directory. Default: in memory. */
  readonly directory?: string
  /** Default 0: any free one. */
  readonly port?: number
}

/** Published by Microsoft, the same for every emulator: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite */
const accountName = 'devstoreaccount1'
const accountKey = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

/**
 * It closes connections that were idle for 5 seconds, and its option for that has no effect (3.36): on a busy machine a client then
 * sends into one that is just being closed. Nobody's tests are about that, so it waits longer.
 */
const patience = `
  import { Server } from 'node:http'
  const { listen } = Server.prototype
  Server.prototype.listen = function (...given) {
    this.keepAliveTimeout = 600_000
    return listen.apply(this, given)
  }`

/**
 * Resolves when it listens. Without `--skipApiVersionCheck` it refuses clients that are newer than it is; without `--disableTelemetry`
 * it calls home.
 */
export async function startAzurite(options: AzuriteOptions = {}): Promise<Azurite> {
  const { directory, port: wanted = 0 } = options
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js')
  const child = spawn(
    process.execPath,
    [
      '--import',
      `data:text/javascript,${encodeURIComponent(patience)}`,
      main,
      '--silent',
      '--skipApiVersionCheck',
      '--disableTelemetry',
      '--blobHost',
      '127.0.0.1',
      '--blobPort',
      String(wanted),
      ...(directory === undefined ? ['--inMemoryPersistence'] : ['--location', directory]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  let said = ''
  const port = await new Promise<number>((resolve, reject) => {
    const fail = (): void => reject(new Error(`azurite did not start: ${said}`))
    child.once('error', reject)
    child.once('exit', fail)
    child.stderr.on('data', chunk => {
      said += String(chunk)
    })
    createInterface({ input: child.stdout }).on('line', line => {
      const found = /successfully listens on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)
      if (found === null) return
      child.removeListener('exit', fail)
      resolve(Number(found[1]))
    })
  }).catch(error => {
    kill()
    throw error
  })

  async function stop(): Promise<void> {
    process.removeListener('exit', kill)
    // Asked politely, it writes to disk first, and waits for open connections.
    if (directory === undefined) kill()
    else child.kill('SIGTERM')
    const late = setTimeout(kill, 10_000)
    await gone
    clearTimeout(late)
  }

  const endpoint = `http://127.0.0.1:${port}/${accountName}`
  const account = `AccountName=${accountName};AccountKey=${accountKey}`
  return {
    endpoint,
    port,
    pid: child.pid ?? 0,
    accountName,
    accountKey,
    connectionString: `DefaultEndpointsProtocol=http;${account};BlobEndpoint=${endpoint};`,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
