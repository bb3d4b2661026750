/** The way of a message: from the client to the cloud, or back. */
export type Direction = 'request' | 'answer'

/** How a request begins. Of a connection that is not HTTP: a method and a path of ''. */
export interface Head {
  readonly method: string
  /** As on the wire. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** How many requests came before on the same connection. */
  readonly before: number
}

export interface Piece {
  readonly is: 'head' | 'body'
  readonly head: Head
  readonly bytes: Buffer
  /** How many bytes of the body came before these. */
  readonly at: number
}

/** Tells heads from bodies in what goes over one connection of HTTP/1.1, request after request, without changing a byte. */
export interface Messages {
  request(chunk: Buffer): Iterable<Piece>
  answer(chunk: Buffer): Iterable<Piece>
  isRequestOver(): boolean
  isAnswerOver(): boolean
}

const nothing: Head = { method: '', path: '', headers: {}, before: 0 }
const endOfHead = Buffer.from('\r\n\r\n')
const lastChunk = '0\r\n\r\n'

export function messages(isRaw: boolean): Messages {
  if (isRaw) return rawMessages()
  let before = 0
  let method = ''
  const request = splitter(text => {
    const [first = '', ...lines] = text.split('\r\n')
    const [verb = '', path = ''] = first.split(' ')
    method = verb
    answer.restart()
    const headers = headersOf(lines)
    const { 'content-length': length, 'transfer-encoding': coding } = headers
    const bytes = coding === undefined ? Number(length ?? 0) : Number.POSITIVE_INFINITY
    return { head: { method: verb, path, headers, before: before++ }, bytes }
  })
  const answer = splitter(text => {
    const [first = '', ...lines] = text.split('\r\n')
    const headers = headersOf(lines)
    const status = Number(first.split(' ')[1])
    const isBare = method === 'HEAD' || status === 204 || status === 304 || status < 200
    const length = headers['transfer-encoding'] === undefined ? headers['content-length'] : 'Infinity'
    // What has neither length nor chunks goes on until the connection ends.
    return { head: nothing, bytes: isBare ? 0 : Number(length ?? Number.POSITIVE_INFINITY) }
  })
  return {
    request: chunk => request.take(chunk),
    answer: chunk => answer.take(chunk),
    isRequestOver: () => request.isOver(),
    isAnswerOver: () => answer.isOver(),
  }
}

function headersOf(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const at = line.indexOf(':')
    if (at > 0) headers[line.slice(0, at).toLowerCase()] = line.slice(at + 1).trim()
  }
  return headers
}

function splitter(read: (text: string) => { readonly head: Head; readonly bytes: number }) {
  let early = Buffer.alloc(0)
  let head: Head | undefined
  let [at, left] = [0, 0]
  let tail = ''
  return {
    restart() {
      early = Buffer.alloc(0)
      head = undefined
    },
    isOver: () => head !== undefined && (left === 0 || (left === Number.POSITIVE_INFINITY && tail === lastChunk)),
    *take(chunk: Buffer): Iterable<Piece> {
      let rest = chunk
      while (rest.byteLength > 0) {
        if (head === undefined || left === 0) {
          early = Buffer.concat([early, rest])
          const end = early.indexOf(endOfHead)
          if (end < 0) return
          const bytes = early.subarray(0, end + endOfHead.byteLength)
          rest = early.subarray(bytes.byteLength)
          early = Buffer.alloc(0)
          const found = read(bytes.toString('latin1', 0, end))
          head = found.head
          left = found.bytes
          at = 0
          tail = ''
          yield { is: 'head', head, bytes, at: 0 }
        } else {
          const bytes = rest.subarray(0, Math.min(left, rest.byteLength))
          rest = rest.subarray(bytes.byteLength)
          const before = at
          at += bytes.byteLength
          left -= bytes.byteLength
          tail = (tail + bytes.toString('latin1', Math.max(0, bytes.byteLength - lastChunk.length))).slice(
            -lastChunk.length,
          )
          yield { is: 'body', head, bytes, at: before }
        }
      }
    },
  }
}

/** All of a connection is one request without an end, and one answer. */
function rawMessages(): Messages {
  const sent = { request: 0, answer: 0 }
  function* take(of: Direction, chunk: Buffer): Iterable<Piece> {
    if (of === 'request' && sent.request === 0) yield { is: 'head', head: nothing, bytes: Buffer.alloc(0), at: 0 }
    const at = sent[of]
    sent[of] += chunk.byteLength
    yield { is: 'body', head: nothing, bytes: chunk, at }
  }
  return {
    request: chunk => take('request', chunk),
    answer: chunk => take('answer', chunk),
    isRequestOver: () => false,
    isAnswerOver: () => false,
  }
}
