import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { type Answer, type Recorder, reply, startRecorder } from '../providers/s3-recorder.ts'
import { checkDirectory } from '../support/directory.ts'
import { canaries, foundIn } from './canary.ts'
import { received, type Service, services } from './services.ts'

const secrets = canaries()
const session = 'CanarySession-0123456789abcdef'
const root = join(import.meta.dirname, '..', '..')

/** Another failure for each request: what was asked repeated in words, codes and headers, broken connections, other places, halves. */
function hostile(service: Service): Answer {
  let turn = 0
  const breaks: readonly Answer[] = [
    request => request.socket.destroy(),
    request => request.socket.resetAndDestroy(),
    request => request.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'),
    reply(301, { location: 'http://127.0.0.1:9/elsewhere' }),
    reply(200, { 'content-type': 'text/html' }, '<!doctype html><html>log in</html>'),
  ]
  return (request, response, seen) => {
    const at = turn++
    // A session of a large upload is opened, so that its address has to be kept.
    if (seen.url.includes('uploadType=resumable')) {
      const location = `http://127.0.0.1/upload/storage/v1/b/main/o?upload_id=${session}`
      return reply(200, { location, 'x-guploader-uploadid': 'AA' })(request, response, seen)
    }
    if (at % 4 === 3) return breaks[(at >> 2) % breaks.length]?.(request, response, seen)
    const status = [400, 403, 404, 409, 412, 429, 500, 503][(at * 5) % 8] as number
    const carried = `${seen.url} ${JSON.stringify(seen.headers)} ${[...received({ requests: [seen] })].join(' ')}`
    const headers = { 'x-ms-request-id': bare(carried), 'x-amz-request-id': bare(carried) }
    const code = at % 3 === 0 ? ([...received({ requests: [seen] })].at(-1) ?? 'AccessDenied') : 'AccessDenied'
    return service.refusal(status, code, carried, headers)(request, response, seen)
  }
}

function bare(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '').slice(0, 4_000)
}

function configOf(folder: string, endpoints: Readonly<Record<string, string>>): string {
  const { accessKeyId, secretAccessKey, sessionToken, bearer, accountKey } = secrets
  return `
    import { s3 } from 'holdfast/s3'
    import { gcs } from 'holdfast/gcs'
    import { azure } from 'holdfast/azure'
    const authClient = { credentials: {}, getRequestHeaders: async () => new Headers({ authorization: 'Bearer ${bearer}' }) }
    export default {
      directory: ${JSON.stringify(join(folder, 'store'))},
      holdMs: 0,
      ackTimeoutMs: 500,
      primary: s3({ name: 's3', bucket: 'main', endpoint: '${endpoints['s3']}', credentials: ${JSON.stringify({ accessKeyId, secretAccessKey, sessionToken })} }),
      secondary: gcs({ name: 'gcs', bucket: 'main', apiEndpoint: '${endpoints['gcs']}', authClient, multipartThreshold: 262144, partSize: 262144 }),
      mirrors: [azure({ name: 'azure', container: 'main', endpoint: '${endpoints['azure']}/account', accountName: 'account', accountKey: '${accountKey}' })],
    }`
}

test('an app and its operator, all of whose clouds lie and repeat what they were told: no secret in anything that they see, nor in the directory; nothing on the console (I42, I47, X1)', async () => {
  const folder = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-canary-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const servers: Recorder[] = []
  const endpoints: Record<string, string> = {}
  for (const service of services) {
    const server = await startRecorder(hostile(service))
    onTestFinished(() => server[Symbol.asyncDispose]())
    servers.push(server)
    endpoints[service.name] = server.endpoint
  }
  await writeFile(join(folder, 'holdfast.config.mjs'), configOf(folder, endpoints), { mode: 0o600 })
  const child = spawn(
    process.execPath,
    ['--import', join(root, 'test', 'support', 'from-source.ts'), join(import.meta.dirname, 'canary-child.ts'), folder],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  expect({ code: child.exitCode, out, err }).toEqual({ code: 0, out: '', err: '' })

  const seen = await readFile(join(folder, 'seen.txt'), 'utf8')
  // Everything was asked, and the clouds were heard: else nothing could have been found.
  expect(Number(await readFile(join(folder, 'count.txt'), 'utf8'))).toBeGreaterThan(80)
  for (const what of ['event provider', 'inspect: answer', 'check: answer', 'list: error', 'AccessDenied'])
    expect(seen).toContain(what)
  for (const { requests } of servers) expect(requests.length).toBeGreaterThan(5)

  const known = [...Object.values(secrets), ...servers.flatMap(server => [...received(server)])]
  expect(known.length).toBeGreaterThan(20)
  expect(foundIn(seen, [...known, session])).toEqual([])
  for (const { name, parentPath } of await readdir(join(folder, 'store'), { recursive: true, withFileTypes: true })) {
    expect(foundIn(name, known)).toEqual([])
    const bytes = await readFile(join(parentPath, name)).catch(() => Buffer.alloc(0))
    // The address of an upload that goes on is in the journal, as SECURITY.md says, and nowhere else.
    const here = name.startsWith('journal.sqlite') ? known.filter(secret => secret !== session) : [...known, session]
    expect(foundIn(bytes.toString('latin1'), here), name).toEqual([])
  }
  await checkDirectory(join(folder, 'store'), { orphans: 'allowed' })
}, 120_000)
