import { createHash } from 'node:crypto'

/**
 * Names of files that no file system confuses: none that folds case, normalises Unicode, drops a trailing dot or knows devices called
 * `con`. A key's segments become directories, its last one a file that ends in `!f`, so that `a` and `a/b` can both be there.
 *
 * | in the key | in the name |
 * |---|---|
 * | `a`–`z`, `0`–`9`, space and ``-_.,+=@()[]{}#$%&'^`;`` | as it is |
 * | any other byte of the UTF-8; a dot or space at the end of a segment; the first letter of a device's name | `!` and two hex digits |
 * | an empty segment | `!_` |
 * | a segment whose name would be longer than 200 bytes | its first 120 bytes, `!H`, the SHA-256 of the segment |
 *
 * What begins with `!` and another letter is never the name of a segment: there the provider keeps its own things.
 */
export const leafSuffix = '!f'
export const draftsName = '!drafts'
export const lockName = '!lock'

const longestName = 200
const keptOfLong = 120
const plain = /^[a-z0-9 \-_.,+=@()[\]{}#$%&'^`;]$/
const device = /^(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$) *(\.|$)/
const hashed = /!H([0-9a-f]{64})$/

/** The directories above the file of a key, outermost first, and the file's name. */
export function fileOf(key: string): { readonly directories: readonly string[]; readonly file: string } {
  const names = key.split('/').map(encodeSegment)
  const file = `${names.pop() ?? ''}${leafSuffix}`
  return { directories: names, file }
}

export function encodeSegment(segment: string): string {
  if (segment === '') return '!_'
  const characters = Array.from(segment)
  const last = characters.length - 1
  const isDevice = device.test(segment)
  const name = characters
    .map((character, index) => {
      const isKept =
        plain.test(character) &&
        !(index === last && (character === '.' || character === ' ')) &&
        !(index === 0 && isDevice)
      return isKept ? character : escaped(character)
    })
    .join('')
  return name.length <= longestName ? name : `${name.slice(0, keptOfLong)}!H${hashOf(segment)}`
}

/** What a name stands for: a segment, or the hash of one that is written down elsewhere. `undefined`: not a name of ours. */
export function decodeSegment(name: string): { readonly segment: string } | { readonly hash: string } | undefined {
  if (name === '!_') return { segment: '' }
  const hash = hashed.exec(name)?.[1]
  if (hash !== undefined) return { hash }
  const bytes: number[] = []
  for (let at = 0; at < name.length; at++) {
    if (name[at] !== '!') {
      bytes.push(name.charCodeAt(at))
      continue
    }
    const byte = /^[0-9A-F]{2}$/.test(name.slice(at + 1, at + 3)) ? Number.parseInt(name.slice(at + 1, at + 3), 16) : -1
    if (byte < 0) return undefined
    bytes.push(byte)
    at += 2
  }
  if (bytes.some(byte => byte > 0xff)) return undefined
  const segment = Buffer.from(bytes).toString('utf8')
  return encodeSegment(segment) === name ? { segment } : undefined
}

/** SHA-256 in hex: what stands for a segment that is too long for a name. */
export function hashOf(segment: string): string {
  return createHash('sha256').update(segment, 'utf8').digest('hex')
}

function escaped(character: string): string {
  const hex = Buffer.from(character, 'utf8').toString('hex').toUpperCase()
  return hex.replace(/../g, pair => `!${pair}`)
}
