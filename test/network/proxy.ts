import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Direction, type Head, messages, type Piece } from './messages.ts'

/** A stretch of network between a client and a local cloud that breaks on command. Needs no rights: it is two sockets, and what happens between them. */
export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** `http://127.0.0.1:<port>`. */
  readonly endpoint: string
  /** Connections of clients ever made. */
  readonly made: number
  /** Connections of clients that are open now. */
  readonly open: number
  /** Of those, the ones on which a request is under way. */
  readonly busy: number
  /** Requests whose head came, oldest first; with `isRaw`: connections. */
  readonly heads: readonly Head[]
  /** Bytes that `answer` faults got rid of. */
  readonly said: number
  /** For requests that begin from now on; those under way keep the fault that they have. The first that matches and is not used up decides. */
  rules: readonly Rule[]
  /** Nobody listens any more: connections are refused, open ones reset. */
  refuse(): Promise<void>
  /** Listens again, at the same port. */
  listen(): Promise<void>
  /** Resets every open connection. `idle`: only those on which no request is under way. */
  resetAll(which?: 'idle'): void
  /** Connections above this wait, taken and unanswered, until others are closed. */
  mostOpen: number
  /** Connections from now on go to another port. */
  aim(target: number): void
  /** Sends the requests that `hold` kept to the cloud, in their order, and resolves with the first lines of its answers. */
  deliver(): Promise<readonly string[]>
}

export interface Rule {
  readonly match?: (head: Head) => boolean
  /** Lets this many matching requests pass first. Default 0. */
  readonly skip?: number
  /** Then treats this many. Default: all. */
  readonly times?: number
  readonly fault: Fault
}

/** Where in a message: not a byte of it passes; its head does, its body does not; so many bytes of its body do. */
export type Place = 'start' | 'head' | number

export type Fault =
  /** `silent`: from there on not a byte, until the rules change. Of a request: nobody takes its bytes any more. `reset`: RST both ways. `end`: FIN both ways. */
  | { readonly kind: 'silent' | 'reset' | 'end'; readonly of: Direction; readonly at: Place }
  /** The body at this rate. */
  | { readonly kind: 'drip'; readonly of: Direction; readonly bytesPerSecond: number }
  /** The answer comes so much later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** The head of the answer, made another. `endAfter`: FIN after so many bytes of the body. */
  | { readonly kind: 'rewrite'; readonly head: (text: string) => string; readonly endAfter?: number }
  /** Turns over the lowest bit of this byte of the body. */
  | { readonly kind: 'flip'; readonly of: Direction; readonly at: number }
  /**
   * Answers in place of the cloud, which hears nothing of it. `early`: before the body was taken, which nobody takes then. What comes
   * after: the connection is kept, ended or reset.
   */
  | {
      readonly kind: 'answer'
      readonly bytes: string | Iterable<string | Uint8Array>
      readonly early?: boolean
      readonly after: 'keep' | 'end' | 'reset'
    }
  /** Takes the whole request, resets the connection, and keeps it for `deliver`: a late request. */
  | { readonly kind: 'hold' }
  /** The cloud is sent the request a second time when it has answered, before the client hears the first answer. */
  | { readonly kind: 'twice' }

export interface ProxyOptions {
  /** Not HTTP but TLS, say: then a connection is one message each way, without a head. */
  readonly isRaw?: boolean
  /** An address of this machine. Default 127.0.0.1. */
  readonly host?: string
  /** Default: any free one. */
  readonly port?: number
  /** Sees all bytes of clients, as they come. */
  readonly tap?: (bytes: Buffer) => void
}

/** `target`: the port of the cloud on 127.0.0.1. */
export async function startProxy(target: number, options: ProxyOptions = {}): Promise<Proxy> {
  const { isRaw = false, host = '127.0.0.1', tap = () => {} } = options
  const connections = new Set<Connection>()
  const heads: Head[] = []
  const held: Buffer[] = []
  const counts = new Map<Rule, number>()
  let [made, said] = [0, 0]
  let rules: readonly Rule[] = []
  /** Resolves when the rules change: what was silent goes on. */
  let healed = Promise.withResolvers<void>()
  let freed = Promise.withResolvers<void>()

  function decide(head: Head): Fault | undefined {
    for (const rule of rules) {
      const { match, skip = 0, times = Number.POSITIVE_INFINITY, fault } = rule
      if (match?.(head) === false) continue
      const count = (counts.get(rule) ?? 0) + 1
      if (count > skip + times) continue
      counts.set(rule, count)
      if (count > skip) return fault
    }
    return undefined
  }

  let aim = target
  const world: World = {
    target: () => aim,
    isRaw,
    tap,
    note(head) {
      heads.push(head)
      return { fault: decide(head), healed: healed.promise }
    },
    hold: request => void held.push(request),
    said: bytes => void (said += bytes),
  }

  async function accept(client: Socket): Promise<void> {
    made++
    client.on('error', () => {})
    while (connections.size >= proxy.mostOpen && !client.destroyed) await freed.promise
    if (client.destroyed) return
    const connection = carry(client, world)
    connections.add(connection)
    client.once('close', () => {
      connections.delete(connection)
      freed.resolve()
      freed = Promise.withResolvers()
    })
  }

  const newServer = (): Server =>
    createServer({ allowHalfOpen: true, noDelay: true }, socket => void accept(socket).catch(() => socket.destroy()))
  let server = newServer()
  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const proxy: Proxy = {
    port,
    endpoint: `http://${host}:${port}`,
    get made() {
      return made
    },
    get open() {
      return connections.size
    },
    get busy() {
      return [...connections].filter(({ isIdle }) => !isIdle).length
    },
    heads,
    get said() {
      return said
    },
    mostOpen: Number.POSITIVE_INFINITY,
    get rules() {
      return rules
    },
    set rules(now) {
      rules = now
      healed.resolve()
      healed = Promise.withResolvers()
    },
    async refuse() {
      const closed = new Promise(resolve => void server.close(resolve))
      proxy.resetAll()
      await closed
    },
    async listen() {
      server = newServer()
      server.listen(port, host)
      await once(server, 'listening')
    },
    resetAll(which) {
      for (const connection of connections) if (which === undefined || connection.isIdle) connection.reset()
    },
    aim(now) {
      aim = now
    },
    async deliver() {
      const lines: string[] = []
      for (const request of held.splice(0)) lines.push(await sendOnce(aim, request))
      return lines
    },
    async [Symbol.asyncDispose]() {
      if (server.listening) await proxy.refuse()
      else proxy.resetAll()
    },
  }
  return proxy
}

type Rewrite = Extract<Fault, { kind: 'rewrite' }>

interface World {
  target(): number
  readonly isRaw: boolean
  tap(bytes: Buffer): void
  /** What is to be done to this request, and the end of that: when the rules change. */
  note(head: Head): { readonly fault: Fault | undefined; readonly healed: Promise<void> }
  hold(request: Buffer): void
  said(bytes: number): void
}

interface Connection {
  readonly isIdle: boolean
  reset(): void
}

/** Two sockets, and the one request that is under way between them. */
function carry(client: Socket, world: World): Connection {
  const gone = new AbortController()
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  gone.signal.addEventListener('abort', () => end(), { once: true })
  const split = messages(world.isRaw)
  let cloud: Socket | undefined
  let fault: Fault | undefined
  let healed = Promise.resolve()
  let isIdle = true
  /** Of the request under way, for those who want it a second time. */
  let copy: Buffer[] = []

  client.once('close', () => {
    gone.abort()
    cloud?.destroy()
  })
  const reset = (): void => {
    cloud?.resetAndDestroy()
    client.resetAndDestroy()
  }
  up().catch(reset)
  return {
    get isIdle() {
      return isIdle
    },
    reset,
  }

  async function up(): Promise<void> {
    for await (const chunk of client.iterator({ destroyOnReturn: false })) {
      world.tap(chunk as Buffer)
      for (const piece of split.request(chunk as Buffer)) {
        if (piece.is === 'head') {
          ;({ fault, healed } = world.note(piece.head))
          isIdle = false
          copy = []
        }
        if (fault?.kind === 'hold' || fault?.kind === 'twice') copy.push(piece.bytes)
        if (fault?.kind === 'answer' && fault.early === true && piece.is === 'head') await answer(fault)
        if (isKept(fault, piece.is)) continue
        for (const part of await cut(fault, 'request', piece.is, piece.bytes, piece.at)) await give(part)
      }
      if (!split.isRequestOver()) continue
      if (fault?.kind === 'hold') {
        world.hold(Buffer.concat(copy))
        reset()
      }
      if (fault?.kind === 'answer' && fault.early !== true) await answer(fault)
    }
    cloud?.end()
    if (cloud === undefined) client.end()
  }

  /** What the cloud never gets to see. */
  function isKept(now: Fault | undefined, piece: 'head' | 'body'): boolean {
    if (now?.kind === 'answer' || now?.kind === 'hold') return true
    return now?.kind === 'silent' && now.of === 'request' && now.at === 'start' && piece === 'head' && !world.isRaw
  }

  async function down(from: Socket): Promise<void> {
    let isFirst = true
    for await (const chunk of from) {
      for (const piece of split.answer(chunk as Buffer)) {
        if (piece.is === 'head') isFirst = true
        if (isFirst && fault?.kind === 'slow') await Promise.race([wait(fault.ms), over])
        if (isFirst && fault?.kind === 'twice') await sendOnce(world.target(), Buffer.concat(copy))
        isFirst = false
        if (fault?.kind === 'rewrite') await rewritten(fault, piece)
        else for (const part of await cut(fault, 'answer', piece.is, piece.bytes, piece.at)) await write(client, part)
      }
      if (split.isAnswerOver()) isIdle = true
    }
    client.end()
  }

  async function give(bytes: Buffer): Promise<void> {
    if (bytes.byteLength === 0) return
    await write(cloudSocket(), bytes)
  }

  function cloudSocket(): Socket {
    if (cloud !== undefined) return cloud
    const socket = connect({ port: world.target(), host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    socket.on('error', () => client.resetAndDestroy())
    cloud = socket
    down(socket).catch(reset)
    return socket
  }

  async function write(socket: Socket, bytes: Buffer): Promise<void> {
    if (!socket.destroyed && !socket.write(bytes)) await Promise.race([once(socket, 'drain'), over]).catch(() => {})
  }

  /** The parts of a piece that pass. Those of a drip come one after the other. */
  async function cut(
    now: Fault | undefined,
    of: Direction,
    piece: 'head' | 'body',
    bytes: Buffer,
    at: number,
  ): Promise<Iterable<Buffer>> {
    if (now === undefined || !('of' in now) || now.of !== of) return [bytes]
    if (now.kind === 'drip') return piece === 'head' ? [bytes] : await dripped(of, bytes, now.bytesPerSecond)
    if (now.kind === 'flip') return [piece === 'body' ? flipped(bytes, now.at - at) : bytes]
    const passes = now.at === 'start' ? 0 : piece === 'head' ? bytes.byteLength : now.at === 'head' ? 0 : now.at - at
    // A body that ends where it is to be broken is broken before its last byte is known to have come.
    const isHere = passes < bytes.byteLength || (piece === 'head' && now.at === 'head')
    const part = bytes.subarray(0, Math.max(0, passes))
    if (!isHere) return [bytes]
    if (of === 'request') await give(part)
    else await write(client, part)
    await stop(now.kind)
    return []
  }

  async function stop(kind: 'silent' | 'reset' | 'end'): Promise<void> {
    switch (kind) {
      case 'silent':
        await Promise.race([healed, over])
        reset()
        return
      case 'reset':
        await flushed()
        reset()
        return
      case 'end':
        cloud?.end()
        client.end()
        await over
        return
      default:
        kind satisfies never
    }
  }

  async function rewritten({ head, endAfter = Number.POSITIVE_INFINITY }: Rewrite, piece: Piece): Promise<void> {
    if (piece.is === 'head') await write(client, Buffer.from(head(piece.bytes.toString('latin1')), 'latin1'))
    else await write(client, piece.bytes.subarray(0, Math.max(0, endAfter - piece.at)))
    const passed = piece.is === 'head' ? 0 : piece.at + piece.bytes.byteLength
    if (passed >= endAfter) await stop('end')
  }

  /** An RST overtakes what was written just before it. */
  async function flushed(): Promise<void> {
    await wait(5)
  }

  async function dripped(of: Direction, bytes: Buffer, perSecond: number): Promise<Iterable<Buffer>> {
    const stepMs = Math.max(5, 1000 / perSecond)
    const step = Math.max(1, Math.round((perSecond * stepMs) / 1000))
    for (let at = 0; at < bytes.byteLength && !gone.signal.aborted; at += step) {
      await Promise.race([wait(stepMs), over])
      await (of === 'request' ? give(bytes.subarray(at, at + step)) : write(client, bytes.subarray(at, at + step)))
    }
    return []
  }

  async function answer({ bytes, after, early }: Extract<Fault, { kind: 'answer' }>): Promise<void> {
    for (const part of typeof bytes === 'string' ? [bytes] : bytes) {
      if (client.destroyed || gone.signal.aborted) return
      const buffer = Buffer.from(part)
      await write(client, buffer)
      world.said(buffer.byteLength)
    }
    if (after === 'end') client.end()
    if (after === 'reset') {
      await flushed()
      reset()
    }
    // Nobody takes the rest of the request. A socket that nobody reads from does not tell that it was closed.
    if (early === true && after === 'keep') await stop('silent')
    isIdle = true
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  if (at < 0 || at >= bytes.byteLength) return bytes
  const other = Buffer.from(bytes)
  other[at] = (other[at] ?? 0) ^ 1
  return other
}

/** One request on a connection of its own. Resolves with the first line of the answer when all of that came. */
async function sendOnce(target: number, request: Buffer): Promise<string> {
  const socket = connect({ port: target, host: '127.0.0.1', noDelay: true })
  const split = messages(false)
  for (const _piece of split.request(request));
  let answer = ''
  socket.write(request)
  for await (const chunk of socket) {
    answer += (chunk as Buffer).toString('latin1')
    for (const _piece of split.answer(chunk as Buffer));
    if (split.isAnswerOver()) break
  }
  return answer.split('\r\n', 1)[0] ?? ''
}
