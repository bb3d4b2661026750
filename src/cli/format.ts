const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `512 B`, `1.5 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B`
  let value = bytes
  let unit = ''
  for (const name of units) {
    if (value < 1024) break
    value /= 1024
    unit = name
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`
}

/** `1,234`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `1 write`, `2 writes`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`
}

/** The two largest units: `350 ms`, `12 s`, `3 m 20 s`, `2 d 4 h`. */
export function timeText(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`
  const hours = Math.round(minutes / 60)
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** A key, a name or a message as a terminal may see it: quoted and escaped where it has characters that would do something there. */
export function plain(text: string): string {
  const isPlain = !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/u.test(text) && text === text.trim() && text !== ''
  if (isPlain) return text
  return inert(JSON.stringify(text))
}

/** The text with all escaped that a terminal would obey, or hide. */
export function inert(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    character => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )
}

/** One line of JSON that does nothing to a terminal either: JSON itself escapes only some of what one obeys. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Rows under each other, the columns as wide as what is in them; `right` names those whose cells end at the same place. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, width(cell))
  }
  return rows.map(row =>
    row
      .map((cell, at) => {
        const room = ' '.repeat(Math.max(0, (widths[at] ?? 0) - width(cell)))
        return right.includes(at) ? room + cell : cell + room
      })
      .join('  ')
      .trimEnd(),
  )
}

/** Colours take no room. */
function width(text: string): number {
  return Array.from(text.replaceAll(/\u001b\[[0-9;]*m/g, '')).length
}
