import { once } from 'node:events'
import { styleText } from 'node:util'
import { jsonOf, lineOf } from './failure.ts'
import { inert, jsonLine } from './format.ts'
import type { Io, Output } from './io.ts'

type Style = Parameters<typeof styleText>[0]

/** How a command speaks: results to stdout, everything else to stderr; as text, or each as one line of JSON. */
export interface Say {
  readonly isJson: boolean
  /** A line of the result. Waits until whoever reads has taken it: a long listing takes no memory. With `--json` nothing. */
  line(text: string): Promise<void>
  /** A result, or one of many, as a line of JSON. Without `--json` nothing. */
  json(value: unknown): Promise<void>
  /** Bytes of an object, as they are. */
  bytes(chunk: Uint8Array): Promise<void>
  /** For the person who watches. With `--json` nothing: what matters is in the result. */
  note(text: string): void
  /** What ended the command. `isVerbose`: with the stack, and that of its causes. */
  error(error: unknown, isVerbose: boolean): void
  /** Text for stdout in a style, where stdout shows colours. */
  style(style: Style, text: string): string
}

export function sayTo(io: Io, isJson: boolean): Say {
  const put = async (stream: Output, text: string | Uint8Array) => {
    if (!stream.write(text)) await once(stream, 'drain', { signal: io.signal })
  }
  return {
    isJson,
    line: async text => {
      if (!isJson) await put(io.stdout, `${text}\n`)
    },
    json: async value => {
      if (isJson) await put(io.stdout, `${jsonLine(value)}\n`)
    },
    bytes: chunk => put(io.stdout, chunk),
    note: text => {
      if (!isJson) io.stderr.write(`${text}\n`)
    },
    error: (error, isVerbose) => {
      io.stderr.write(isJson ? `${jsonLine(jsonOf(error))}\n` : `holdfast: ${lineOf(error)}\n`)
      if (isVerbose && !isJson) io.stderr.write(`${stackOf(error)}\n`)
    },
    style: (style, text) => styled(io, io.stdout, style, text),
  }
}

/** NO_COLOR and FORCE_COLOR as everywhere; without them only a terminal gets colours. */
export function styled(io: Io, stream: Output, style: Style, text: string): string {
  const { NO_COLOR, FORCE_COLOR } = io.env
  const isForced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0'
  const isColoured = isForced || (stream.isTTY === true && (NO_COLOR ?? '') === '' && io.env['TERM'] !== 'dumb')
  return isColoured ? styleText(style, text, { validateStream: false }) : text
}

/** Node puts the line of the source that it could not read into a stack, or into the message: there may be a secret in it. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return inert(String(error))
  const frames = (error.stack ?? '').split('\n').filter(line => /^\s+at /.test(line))
  const own = [`${error.name}: ${error.message.split('\n')[0] ?? ''}`, ...frames].map(inert).join('\n')
  return error.cause === undefined ? own : `${own}\ncaused by ${stackOf(error.cause)}`
}
