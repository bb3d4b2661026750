import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import type { Started } from '../support/clouds.ts'

/** A server that an example started. Ended as an operator would when its scope ends; then it has to leave with 0. */
export interface Serving extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** What it printed up to now. */
  printed(): string
  end(): Promise<void>
}

/** Programs of `examples/`, started as a user would, against local clouds. */
export interface Programs {
  /** Runs to its end. `path` is below `examples/`, or absolute. */
  run(path: string, args?: readonly string[]): Promise<{ code: number | null; text: string }>
  /** Starts a server. With `directory` (a name below the root) it finds what another one of the same left. */
  serve(path: string, options?: { directory?: string; env?: Readonly<Record<string, string>> }): Promise<Serving>
}

/** Stores and everything else that programs write go below `root`. */
export function programsOf({ s3, gcs }: Pick<Started, 's3' | 'gcs'>, root: string): Programs {
  const keyFile = join(root, 'service-account.json')
  writeFileSync(
    keyFile,
    JSON.stringify({ type: 'service_account', client_email: gcs.credentials.id, private_key: gcs.credentials.secret }),
  )
  const start = (
    path: string,
    args: readonly string[],
    directory: string,
    env: Readonly<Record<string, string>>,
  ): ChildProcess => {
    const program = path.startsWith('/') ? path : fileURLToPath(new URL(`../../examples/${path}`, import.meta.url))
    const fromSource = fileURLToPath(new URL('../support/from-source.ts', import.meta.url))
    return spawn(process.execPath, ['--import', fromSource, program, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        DIRECTORY: join(root, directory),
        UPLOADS: join(root, `${directory}-uploads`),
        PORT: '0',
        S3_ENDPOINT: s3.endpoint,
        S3_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: s3.credentials.id,
        AWS_SECRET_ACCESS_KEY: s3.credentials.secret,
        GCS_ENDPOINT: gcs.endpoint,
        GCS_BUCKET: 'photos',
        GOOGLE_APPLICATION_CREDENTIALS: keyFile,
        ...env,
      },
    })
  }
  const storeName = (path: string) => (path.split('/').at(-1) ?? path).replace(/\.m?ts$/, '')
  return {
    async run(path, args = []) {
      const child = start(path, args, storeName(path), {})
      const printed = collect(child)
      const [code] = (await once(child, 'exit')) as [number | null]
      return { code, text: printed() }
    },
    async serve(path, { directory = storeName(path), env = {} } = {}) {
      const child = start(path, [], directory, env)
      const printed = collect(child)
      const exit = once(child, 'exit') as Promise<[number | null]>
      const port = await Promise.race([portOf(child, printed), exit])
      if (typeof port !== 'string') throw new Error(`${path} ended before it listened: ${port[0]}`)
      let ended: Promise<void> | undefined
      const end = async () => {
        child.kill('SIGTERM')
        expect((await exit)[0]).toBe(0)
      }
      return {
        url: `http://127.0.0.1:${port}`,
        printed,
        end: () => (ended ??= end()),
        [Symbol.asyncDispose]: () => (ended ??= end()),
      }
    },
  }
}

function collect(child: ChildProcess): () => string {
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return () => text
}

async function portOf(child: ChildProcess, printed: () => string): Promise<string> {
  for (;;) {
    const port = /listening on (\d+)/.exec(printed())?.[1]
    if (port !== undefined) return port
    await once(child.stdout as NodeJS.ReadableStream, 'data')
  }
}
