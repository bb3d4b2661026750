import { clearScreenDown, cursorTo, moveCursor } from 'node:readline'
import { bytesText, countText, plain, timeText } from './format.ts'
import { type Io, Interrupted } from './io.ts'
import { type Say, styled } from './say.ts'

/** How far one thing is. */
export interface Bar {
  readonly label: string
  /** Objects. */
  readonly done: number
  /** Objects; `undefined` where nobody knows. */
  readonly total: number | undefined
  /** Bytes, where they are counted. */
  readonly bytes?: number
  readonly totalBytes?: number
  /** What else is to be said. */
  readonly note?: string
}

/** Bars on a terminal; elsewhere a line at an interval, and one at the end; with `--json` the same as lines of JSON. All on stderr. */
export interface Progress extends Disposable {
  show(bars: readonly Bar[]): void
  /** Takes the bars off the terminal, so that a line can be written; the next `show` draws them again. Nothing is said at the end without one. */
  clear(): void
}

const frameMs = 100
/** A rate is what happened in the last so many milliseconds. */
const rateMs = 10_000
const barWidth = 24

export function progress(io: Io, say: Say, everySeconds: number | undefined): Progress {
  const { stderr } = io
  const isTerminal = stderr.isTTY === true && !say.isJson
  const betweenMs = isTerminal ? frameMs : (everySeconds ?? 10) * 1000
  const meters = new Map<string, Meter>()
  let last: readonly Bar[] = []
  let shownAt = Number.NEGATIVE_INFINITY
  let isShown = true
  let drawn = 0

  const clear = () => {
    if (drawn === 0) return
    moveCursor(stderr, 0, -drawn)
    cursorTo(stderr, 0)
    clearScreenDown(stderr)
    drawn = 0
  }
  const print = () => {
    isShown = true
    shownAt = performance.now()
    const lines = last.map(bar => ({ bar, rate: rateOf(meters, bar) }))
    if (say.isJson) {
      for (const { bar, rate } of lines)
        stderr.write(`${JSON.stringify({ progress: { ...bar, perSecond: rate.objects } })}\n`)
    } else if (isTerminal) {
      clear()
      const width = (stderr.columns ?? 80) - 1
      for (const { bar, rate } of lines) stderr.write(`${drawBar(io, bar, rate, width)}\n`)
      drawn = lines.length
    } else {
      for (const { bar, rate } of lines) stderr.write(`${plain(bar.label)}: ${wordsOf(bar, rate).join(', ')}\n`)
    }
  }
  return {
    show(bars) {
      last = bars
      isShown = false
      for (const bar of bars) meter(meters, bar)
      if (performance.now() - shownAt >= betweenMs) print()
    },
    clear() {
      clear()
      isShown = true
    },
    [Symbol.dispose]() {
      if (!isShown && last.length > 0 && !(io.signal.reason instanceof Interrupted)) print()
    },
  }
}

interface Meter {
  readonly points: { readonly at: number; readonly objects: number; readonly bytes: number }[]
}

interface Rate {
  /** Per second. */
  readonly objects: number
  readonly bytes: number
}

function meter(meters: Map<string, Meter>, { label, done, bytes = 0 }: Bar): void {
  const found = meters.get(label) ?? { points: [] }
  meters.set(label, found)
  const at = performance.now()
  found.points.push({ at, objects: done, bytes })
  while (found.points.length > 2 && at - (found.points[0]?.at ?? at) > rateMs) found.points.shift()
}

function rateOf(meters: ReadonlyMap<string, Meter>, { label }: Bar): Rate {
  const points = meters.get(label)?.points ?? []
  const [first, last] = [points[0], points.at(-1)]
  const seconds = first === undefined || last === undefined ? 0 : (last.at - first.at) / 1000
  if (first === undefined || last === undefined || seconds <= 0) return { objects: 0, bytes: 0 }
  return {
    objects: Math.max(0, last.objects - first.objects) / seconds,
    bytes: Math.max(0, last.bytes - first.bytes) / seconds,
  }
}

function wordsOf({ done, total, bytes, totalBytes, note }: Bar, rate: Rate): string[] {
  const words = [`${countText(done)}${total === undefined ? '' : ` of ${countText(total)}`} objects`]
  if (bytes !== undefined) {
    words.push(`${bytesText(bytes)}${totalBytes === undefined ? '' : ` of ${bytesText(totalBytes)}`}`)
  }
  if (rate.bytes > 0) words.push(`${bytesText(rate.bytes)}/s`)
  else if (rate.objects > 0) words.push(`${countText(rate.objects)}/s`)
  const left = leftMs({ done, total, bytes, totalBytes }, rate)
  if (left !== undefined) words.push(`${timeText(left)} left`)
  if (note !== undefined) words.push(note)
  return words
}

/** By the bytes where they are known: objects may be of very different sizes. */
function leftMs(
  { done, total, bytes, totalBytes }: { [Name in 'done' | 'total' | 'bytes' | 'totalBytes']: number | undefined },
  rate: Rate,
): number | undefined {
  if (bytes !== undefined && totalBytes !== undefined && rate.bytes > 0) {
    return totalBytes > bytes ? ((totalBytes - bytes) / rate.bytes) * 1000 : undefined
  }
  if (done === undefined || total === undefined || rate.objects <= 0 || total <= done) return undefined
  return ((total - done) / rate.objects) * 1000
}

function drawBar(io: Io, bar: Bar, rate: Rate, width: number): string {
  const { label, done, total } = bar
  const part = total === undefined ? undefined : total === 0 ? 1 : Math.min(1, done / total)
  const filled = Math.round((part ?? 0) * barWidth)
  const gauge =
    part === undefined
      ? ''
      : `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)} ${String(Math.floor(part * 100)).padStart(3)}% `
  const text = `${plain(label).padEnd(12)} ${gauge}${wordsOf(bar, rate).join(' · ')}`
  // A line that wraps would be counted as one, and left behind.
  const cut = Array.from(text).slice(0, width).join('')
  return part === 1 ? styled(io, io.stderr, 'green', cut) : cut
}
