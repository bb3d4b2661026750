import { stripVTControlCharacters, styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** A line to be looked at for as long as it lasts: what is done of what is to do. */
export interface Bar {
  readonly label: string
  /** Parts of the whole, 0 to 1; `sure` is drawn over `done`. */
  readonly done: number
  readonly sure: number
  readonly text: string
  /** The same in one word, for a plain line. */
  readonly short: string
  /** A few words at the end, in their colour. */
  readonly state: string
  readonly style: Style
}

export interface Scene {
  readonly bars: readonly Bar[]
  readonly note: string
}

/** A terminal shows bars that move below what was said. Anything else gets plain lines, and the bars as one line every two seconds. */
export interface Screen {
  /** Says it for good. */
  say(text: string): void
  /** Draws no more; what was drawn last stays where it is. */
  end(): void
}

const frameMs = 120
const plainMs = 2_000
const barWidth = 20

/** Draws what `paint` answers at that moment, until it is ended. Colours only where the terminal and NO_COLOR allow them. */
export function openScreen(output: NodeJS.WriteStream, paint: () => Scene): Screen {
  const isTerminal = output.isTTY
  let drawn = 0
  let last = ''
  let isOver = false
  const timer = setInterval(isTerminal ? draw : print, isTerminal ? frameMs : plainMs)

  /** Back to the first line of the bars, and away with them. */
  function clear(): string {
    const up = drawn === 0 ? '' : `\x1b[${drawn}A\r`
    drawn = 0
    return `${up}\x1b[J`
  }

  function draw(said = ''): void {
    const { bars, note } = paint()
    const lines = [...bars.map(bar => drawnBar(bar)), styled('dim', `  ${note}`)].map(line => cut(line, output.columns))
    const frame = `${clear()}${said}\n${lines.join('\n')}\n`
    drawn = lines.length + 1
    output.write(frame)
  }

  function print(): void {
    const { bars, note } = paint()
    const line = [
      ...bars.map(({ label, short, state }) => `${label} ${short}${state === '' ? '' : ` (${state})`}`),
      note,
    ]
    const text = `  ${line.join('; ')}`
    if (text !== last) output.write(`${text}\n`)
    last = text
  }

  return {
    say(text) {
      if (!isTerminal || isOver) output.write(`${text}\n`)
      else draw(`${text}\n`)
    },
    end() {
      if (isOver) return
      isOver = true
      clearInterval(timer)
      if (isTerminal) draw()
      else print()
    },
  }
}

/** As `styleText`, which knows of NO_COLOR and of terminals. */
export function styled(style: Style, text: string): string {
  return text === '' ? '' : styleText(style, text, { stream: process.stdout })
}

/** What happens now, and under it why it matters. Lines of at most 80 characters are the caller's business. */
export function sceneText(title: string, ...why: readonly string[]): string {
  return ['', styled('bold', title), ...why.map(line => `   ${line}`)].join('\n')
}

/** Fills up to the width that is seen: colours take none. */
export function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - stripVTControlCharacters(text).length))
}

function drawnBar({ label, done, sure, text, state, style }: Bar): string {
  const full = Math.floor(sure * barWidth)
  const half = Math.floor(done * barWidth) - full
  const bar = styled(style, '█'.repeat(full) + '▓'.repeat(half)) + styled('dim', '░'.repeat(barWidth - full - half))
  return `  ${padded(label, 12)} ${bar} ${padded(text, 24)} ${styled(style, state)}`
}

/** A line that wraps would be two when it comes to be taken back. */
function cut(line: string, columns: number): string {
  return stripVTControlCharacters(line).length < columns ? line : stripVTControlCharacters(line).slice(0, columns - 1)
}
