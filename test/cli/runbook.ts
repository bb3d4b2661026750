import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import type { Status } from '../../src/holdfast/status.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { eventually } from '../support/store.ts'
import { normalised, place, type Running } from './run.ts'

/** What docs/runbook.md is about: an app on two clouds, a third one at hand, and everything that happens to them. */
export interface Scene extends AsyncDisposable {
  /** Something happens, in the words of the page. */
  happens(what: string): Promise<void>
  /** Runs a command as it stands on the page; answers what it prints, as it is to stand there. */
  types(command: string): Promise<string>
}

type Name = 'aws' | 'google' | 'spare'

const patience = 30_000

export async function scene(): Promise<Scene> {
  const here = await place('no config')
  const [google, spare] = [await startLocalGcs({ buckets: ['photos'] }), await startLocalS3({ buckets: ['photos'] })]
  let aws = await startLocalS3({ buckets: ['photos'], directory: join(here.path, 'aws') })
  const { port, credentials } = aws
  const env: Record<string, string> = {
    AWS_ACCESS_KEY_ID: credentials.id,
    AWS_SECRET_ACCESS_KEY: credentials.secret,
  }
  const specs: Readonly<Record<Name, string>> = {
    aws: `s3:photos?region=eu-central-1&forcePathStyle=true&endpoint=${aws.endpoint}&name=aws`,
    google: `gcs:photos?projectId=test&endpoint=${google.endpoint}&name=google`,
    spare: `s3:photos?region=eu-central-1&forcePathStyle=true&endpoint=${spare.endpoint}&name=spare`,
  }
  const expected = new Map<string, string>()
  let more: object = {}
  let worker: Running | undefined

  const configure = async ([primary, secondary, ...mirrors]: readonly Name[]) => {
    const options = {
      directory: join(here.path, 'store'),
      primary: specs[primary ?? 'aws'],
      secondary: specs[secondary ?? 'google'],
      mirrors: mirrors.map(name => specs[name]),
      holdMs: 0,
      ...more,
    }
    await here.write('holdfast.config.json', JSON.stringify(options))
  }
  const status = async () => JSON.parse((await here.run('status --json', { env })).stdout) as Status
  const until = (look: (now: Status) => boolean) => eventually(async () => look(await status()), patience)
  const stop = async () => {
    worker?.child.kill('SIGTERM')
    await worker?.ended
  }
  /** As a service manager starts the app anew; it replicates, like a worker. */
  const restart = async () => {
    await stop()
    worker = here.start('worker', { env })
    await worker.said('replicating')
    await settled()
  }
  const settled = () =>
    until(({ providers, pending, held }) => {
      const isAsExpected = providers.every(({ name, state }) => state === (expected.get(name) ?? 'up'))
      const isIdle = providers.every(({ name, pendingWrites }) => expected.has(name) || pendingWrites === 0)
      return isAsExpected && isIdle && (expected.size > 0 || pending.writes + held.writes === 0)
    })
  const put = async (key: string) => {
    await here.run(`put ${key}`, { env, stdin: `the picture ${key}, which is small`.padEnd(60, '.') })
  }
  const bucket = (): Provider =>
    s3({
      bucket: 'photos',
      endpoint: aws.endpoint,
      region: 'eu-central-1',
      forcePathStyle: true,
      credentials: { accessKeyId: credentials.id, secretAccessKey: credentials.secret },
    })
  const awsAgain = async () => {
    aws = await startLocalS3({ buckets: ['photos'], directory: join(here.path, 'aws'), port })
    expected.delete('aws')
  }

  const events: Readonly<Record<string, () => Promise<unknown>>> = {
    'aws stops': async () => {
      await aws.stop()
      expected.set('aws', 'down')
    },
    'aws is back': awsAgain,
    'aws closes the account': async () => {
      await aws.fault({ fault: { kind: 'status', status: 403, code: 'AccountProblem' } })
      expected.set('aws', 'blocked')
    },
    'the app puts photos/5.jpg': async () => {
      await put('photos/5.jpg')
      await settled()
    },
    'the app starts again': restart,
    'the app drains': () => here.run('drain --until verified', { env }),
    'the options name aws, google and spare': async () => {
      await configure(['aws', 'google', 'spare'])
      await restart()
    },
    'the options name google and spare': async () => {
      await configure(['google', 'spare'])
      await restart()
    },
    'the options allow 100 bytes on local disk': async () => {
      more = { maxStageBytes: 100 }
      await configure(['aws', 'google'])
      await restart()
      await here.write('6.jpg', 'x'.repeat(60))
    },
    'the bucket of aws is emptied': async () => {
      for (const key of await keysAt(bucket())) await bucket().delete(key, undefined, AbortSignal.timeout(patience))
      expected.set('aws', 'blocked')
    },
    'aws loses photos/2.jpg': () => bucket().delete('photos/2.jpg', undefined, AbortSignal.timeout(patience)),
    'aws has other bytes under photos/3.jpg': () => damage(bucket(), 'photos/3.jpg'),
    'photos/5.jpg reaches only google, and the disk is lost': async () => {
      await aws.stop()
      expected.set('aws', 'down')
      await put('photos/5.jpg')
      await settled()
      await stop()
      await rm(join(here.path, 'store'), { recursive: true })
      await awsAgain()
    },
    'the clock of this machine is 45 minutes ahead': async () => {
      const file = join(here.path, 'ahead.mjs')
      await writeFile(file, 'const { now } = Date\nDate.now = () => now() + 45 * 60_000\n')
      env['NODE_OPTIONS'] = `--import=${pathToFileURL(file).href}`
    },
  }

  await configure(['aws', 'google'])
  worker = here.start('worker', { env })
  await worker.said('replicating')
  for (const n of [1, 2, 3, 4]) await put(`photos/${n}.jpg`)
  await settled()

  return {
    async happens(what) {
      const event = events[what]
      if (event === undefined) throw new Error(`the scene knows no event "${what}"`)
      await event()
    },
    async types(command) {
      let { code, stdout } = await here.run(command, { env, isMerged: true })
      // Whoever is down is asked now and then: a moment later it is down again, as the page shows it.
      for (let again = 0; again < 20 && command === 'status' && stdout.includes('probing'); again++)
        ({ code, stdout } = await here.run(command, { env, isMerged: true }))
      const lines = normalised(stdout, here.path)
        .replaceAll(/\b127\.0\.0\.1:\d+/g, '<address>')
        .replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '<identity>')
        .split('\n')
        .filter(line => !isProgress.test(line))
      const text = lines.join('\n').trimEnd()
      return code === 0 ? text : `${text}\n[ends with ${code}]`
    },
    async [Symbol.asyncDispose]() {
      await stop()
      await here[Symbol.asyncDispose]()
      const clouds: readonly LocalCloud[] = [aws, google, spare]
      await Promise.all(clouds.map(cloud => cloud.stop()))
    },
  }
}

/** Lines that come or do not, as time goes. */
const isProgress = /^\S.*: [\d,]+( of [\d,]+)? objects|^another process replicates/

async function keysAt(provider: Provider): Promise<string[]> {
  const keys: string[] = []
  for await (const entry of provider.list({ prefix: '', delimiter: '', startAfter: '' }, AbortSignal.timeout(patience)))
    if (entry.type === 'object') keys.push(entry.key)
  return keys
}

/** Other bytes of the same size, under the entry of the right ones, as a disk that rots has them. */
async function damage(provider: Provider, key: string): Promise<void> {
  const signal = AbortSignal.timeout(patience)
  const found = await provider.head(key, signal)
  if (found === undefined) throw new Error(`${key} is not there`)
  const bytes = Buffer.alloc(found.size, 'x')
  await provider.put(
    {
      key,
      source: bytesSource(bytes, digestsOf(bytes)),
      headers: found.headers,
      metadata: found.metadata,
      condition: undefined,
      upload: noMemo,
    },
    signal,
  )
}
