import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { main } from '../../src/cli/main.ts'
import { openHoldfast } from '../../src/index.ts'
import { eventNames } from '../../src/holdfast/events.ts'
import { viewsOf } from './canary.ts'

/**
 * An app, and then its operator, whose clouds lie and break in every way. Arguments: a folder with `holdfast.config.mjs`. Everything that
 * either of them gets to see is appended to `seen.txt` there. Says nothing itself: what is on its streams comes of the library (I47).
 */
const [folder = ''] = process.argv.slice(2)
const seenFile = join(folder, 'seen.txt')
let seen = 0
const note = (what: string, value: unknown): void => {
  seen++
  appendFileSync(seenFile, `\n--- ${what}\n${viewsOf(value)}`)
}
for (const event of ['unhandledRejection', 'uncaughtExceptionMonitor', 'warning'] as const)
  process.on(event, (error: unknown) => process.stdout.write(`${event}: ${viewsOf(error)}\n`))

const { default: options } = (await import(join(folder, 'holdfast.config.mjs'))) as {
  default: Parameters<typeof openHoldfast>[0]
}
const brief = () => ({ signal: AbortSignal.timeout(700) })
const large = Buffer.alloc(600_000, 7)

const store = await openHoldfast(options)
for (const event of eventNames) store.on(event, payload => note(`event ${event}`, payload))

async function collect(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const item of items) found.push(item)
  return found
}

const calls: Readonly<Record<string, () => Promise<unknown>>> = {
  put: () => store.put('k', 'body'),
  'put large': () => store.put('large', large),
  'put if': () => store.put('new', 'body', { ifAbsent: true, ...brief() } as never),
  'put to all': () => store.put('k2', 'body', { ack: 'all', ...brief() } as never),
  'get absent': async () => (await store.get('absent', brief()))?.bytes(),
  'head absent': () => store.head('absent', brief()),
  list: () => collect(store.list(brief())),
  delete: () => store.delete('k2'),
  copy: () => store.copy('absent', 'to', brief() as never),
  adopt: () => store.adopt('absent', brief() as never),
  check: () => store.check(brief()),
  inspect: () => store.inspect('k', { deep: true, ...brief() } as never),
  reconcile: () => collect(store.reconcile(brief() as never)),
  repair: () => collect(store.reconcile({ repair: true, ...brief() } as never)),
  backfill: () => collect(store.backfill({ to: 's3', ...brief() } as never)),
  evacuate: () => collect(store.evacuate({ from: 's3', ...brief() } as never)),
  estimate: () => store.estimate({ to: 's3', ...brief() } as never),
  acceptBucket: () => store.acceptBucket('gcs', { why: 'a test', ...brief() } as never),
  retire: () => store.retire('azure', { why: 'a test' }),
  'blocked.list': () => collect(store.blocked.list() as never),
  drain: () => store.drain(brief() as never),
  status: () => store.status(),
  deleteMany: () => collect(store.deleteMany({ prefix: 'k', ...brief() } as never)),
}
for (let round = 0; round < 2; round++) {
  for (const [name, call] of Object.entries(calls)) {
    await call().then(
      answer => note(`${name}: answer`, answer),
      (error: unknown) => note(`${name}: error`, error),
    )
  }
}
note('the store itself', store)
note('the options as the store has them', Object.keys(options))

const into = (text: unknown): void => appendFileSync(seenFile, String(text))
const stream = (): Writable =>
  new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      into(chunk)
      done()
    },
  })
const commands = [
  'status',
  'check',
  'inspect k',
  'ls',
  'get absent',
  'blocked',
  'reconcile',
  'verify',
  'put cli nothere.txt',
  'rm k',
  'help',
  'status --secret=x',
]
for (const command of commands) {
  for (const flags of ['', '--json', '--verbose']) {
    into(`\n--- holdfast ${command} ${flags}\n`)
    const io = {
      stdout: stream(),
      stderr: stream(),
      stdin: Readable.from([]),
      cwd: folder,
      env: {},
      signal: AbortSignal.timeout(1_500),
    }
    seen++
    await main([...command.split(' '), ...(flags === '' ? [] : [flags])], io)
  }
}
await store.close()
writeFileSync(join(folder, 'count.txt'), String(seen))
process.exit(0)
