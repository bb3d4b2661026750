import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer, type SecureVersion } from 'node:tls'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What a server shows of itself. `good`: of the test CA, for 127.0.0.1 and localhost. */
export type Identity = 'good' | 'expired' | 'wrong host' | 'self-signed' | 'of another CA'

export interface TestCa {
  /** The certificate that clients have to trust, PEM. */
  readonly certificate: string
  identity(which: Identity): Promise<{ readonly key: string; readonly cert: string }>
}

/** Made anew in the directory, by the program `openssl`; valid for two days. */
export async function testCa(directory: string): Promise<TestCa> {
  const at = (name: string): string => join(directory, name)
  const openssl = (...args: readonly string[]) => run('openssl', [...args], { cwd: directory })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const
  const newCa = (name: string) =>
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
    )
  await Promise.all(['ca', 'other-ca'].map(newCa))
  await writeFile(at('here'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  await writeFile(at('elsewhere'), 'subjectAltName=DNS:storage.example.com\n')

  async function sign(name: string, ca: string, names: 'here' | 'elsewhere', days: number): Promise<void> {
    await openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', '/CN=localhost')
    const by = ['-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', String(days)]
    await openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-extfile', names, '-out', `${name}.pem`)
  }
  const made: Partial<Record<Identity, Promise<void>>> = {}
  const makers: Readonly<Record<Identity, (name: string) => Promise<void>>> = {
    good: name => sign(name, 'ca', 'here', 2),
    expired: name => sign(name, 'ca', 'here', -1),
    'wrong host': name => sign(name, 'ca', 'elsewhere', 2),
    'of another CA': name => sign(name, 'other-ca', 'here', 2),
    async 'self-signed'(name) {
      const names = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-days', '2']
      await openssl(
        'req',
        '-x509',
        ...newKey,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.pem`,
        '-subj',
        '/CN=localhost',
        ...names,
      )
    },
  }
  return {
    certificate: await readFile(at('ca.pem'), 'utf8'),
    async identity(which) {
      const name = which.replaceAll(' ', '-')
      await (made[which] ??= makers[which](name))
      const [key, cert] = await Promise.all([readFile(at(`${name}.key`), 'utf8'), readFile(at(`${name}.pem`), 'utf8')])
      return { key, cert }
    },
  }
}

/** Speaks TLS on loopback and passes on what comes, in the clear, to a port of this machine. */
export interface TlsEnd extends AsyncDisposable {
  readonly port: number
  /** Clear bytes that came from clients: none, where nobody accepted who this is. */
  readonly heard: () => number
}

export async function startTls(
  target: number,
  { key, cert }: { readonly key: string; readonly cert: string },
  options: { readonly version?: SecureVersion } = {},
): Promise<TlsEnd> {
  const { version } = options
  const sockets = new Set<Socket>()
  let heard = 0
  // OpenSSL itself has to be told twice to speak what is that old.
  const old = version === undefined ? {} : { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }
  const server = createServer({ key, cert, ...old, noDelay: true }, clear => {
    const cloud = connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    clear.on('data', chunk => (heard += (chunk as Buffer).byteLength))
    clear.on('error', () => cloud.destroy()).on('close', () => cloud.destroy())
    // What breaks on this side breaks on the other as it did here.
    cloud.on('error', () =>
      sockets.forEach(socket => void (socket.remotePort === clear.remotePort && socket.resetAndDestroy())),
    )
    clear.pipe(cloud)
    cloud.pipe(clear)
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.on('tlsClientError', (_error, socket) => void socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => heard,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => void server.close(resolve))
    },
  }
}
