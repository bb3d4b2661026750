import { compareKeys, reservedPrefix } from './key.ts'

/**
 * The name that a key is stored under with `keys: 'encode'`: the same at every provider, and one that each of them holds as it is (but for its
 * length). Part of the format: FORMAT.md has the rules. What cannot be a name is escaped byte by byte, as `!` and two upper-case hex digits:
 *
 * - controls, private use, non-characters and U+FFF0 to U+FFFF (XML, Azure), and `\` (Azure takes it for `/`);
 * - the dots of a `.` or `..` segment (URLs fold them), a dot or a blank that ends a segment (Azure and file systems drop them);
 * - a `/` that begins or ends the key, or follows another;
 * - `!` where two upper-case hex digits follow, so that no two keys have one name. Elsewhere it stays, so that a name such as `Hello!` that was written
 *   before, or past Holdfast, is still that of the same key;
 * - the first letter of `soap` (S3) and of `.well-known/acme-challenge/…` (Google).
 *
 * Keys that are no well-formed Unicode come back as they are: no name can stand for them.
 */
export function encodeKey(key: string): string {
  if (!unusual.test(key) || !key.isWellFormed()) return key
  return piecesOf(key).join('')
}

/** What a name says, every `!HH` taken for a byte of UTF-8. Only of a name that `encodeKey` made is it the key: see `keyOfName`. */
export function decodeKey(name: string): string {
  if (!escape.test(name)) return name
  return name.replace(escapes, run => Buffer.from(run.replaceAll('!', ''), 'hex').toString('utf8'))
}

/** Whether `encodeKey` makes this name, of whatever key. */
export function isEncoded(name: string): boolean {
  const key = decodeKey(name)
  return !isReserved(key) && encodeKey(key) === name
}

/**
 * The key that a name at a provider stands for. One that `encodeKey` never makes, because it was written by others or under 'strict' (`a//b`,
 * `Wow!2021.jpg`), stands for itself.
 */
export function keyOfName(name: string): string {
  return isEncoded(name) ? decodeKey(name) : name
}

/** A key that may be no object's, however it is spelled. */
export function isReserved(key: string): boolean {
  return `${key}/`.startsWith(reservedPrefix)
}

/**
 * What the names of all keys that begin with `prefix` begin with: one of these, none of which begins with another, in byte order. A name that begins
 * so may still be that of another key. More than one where the end of the prefix is written differently before different characters: `a/`, whose
 * own key is `a!2F`.
 */
export function namePrefixes(prefix: string): readonly string[] {
  const found = new Set([prefix])
  for (const next of continuations(prefix))
    found.add(
      piecesOf(prefix + next)
        .slice(0, Array.from(prefix).length)
        .join(''),
    )
  return [...found]
    .filter(each => ![...found].some(other => other !== each && each.startsWith(other)))
    .toSorted(compareKeys)
}

/** The name of a group of keys, when it goes on with something plain. */
export function nameOfGroup(group: string): string {
  return piecesOf(`${group}x`).slice(0, -1).join('')
}

const acme = '.well-known/acme-challenge/'
/** By their first character: no key but this one, or none that begins so. */
const isSpecial = (key: string): boolean => key === 'soap' || key.startsWith(acme)

/** A superset of what is escaped, to be fast for all other keys. */
const unusual =
  /[\p{Cc}\p{Co}\p{Noncharacter_Code_Point}\ufff0-\uffff\\]|![\dA-F]{2}|[. ](?:\/|$)|\/\/|^\/|\/$|(?:^|\/)\.\.|^soap$|^\.well-known\//u
const always = /^[\p{Cc}\p{Co}\p{Noncharacter_Code_Point}\ufff0-\uffff\\]$/u
const escape = /![\dA-F]{2}/
const escapes = /(?:![\dA-F]{2})+/g

/** Enough to see every way in which the end of a prefix is written. */
function continuations(prefix: string): readonly string[] {
  const rest = [`soap`, `${acme}x`].flatMap(special =>
    special.startsWith(prefix) ? [special.slice(prefix.length)] : [],
  )
  return ['', 'x', '/', '.', 'A', 'AA', ...rest]
}

/** What each character of the key becomes. */
function piecesOf(key: string): string[] {
  const characters = Array.from(key)
  const special = isSpecial(key)
  return characters.map((character, at) => {
    const isEscaped =
      (at === 0 && special) ||
      always.test(character) ||
      (character === '!' && /^[\dA-F]{2}$/.test(`${characters[at + 1] ?? ''}${characters[at + 2] ?? ''}`)) ||
      (character === '/' && (at === 0 || at === characters.length - 1 || characters[at - 1] === '/')) ||
      (character === ' ' && endsSegment(characters, at)) ||
      (character === '.' && (endsSegment(characters, at) || beginsTwoDots(characters, at)))
    return isEscaped ? escaped(character) : character
  })
}

function endsSegment(characters: readonly string[], at: number): boolean {
  return at === characters.length - 1 || characters[at + 1] === '/'
}

function beginsTwoDots(characters: readonly string[], at: number): boolean {
  const isFirst = at === 0 || characters[at - 1] === '/'
  return isFirst && characters[at + 1] === '.' && endsSegment(characters, at + 1)
}

function escaped(character: string): string {
  const hex = Buffer.from(character, 'utf8').toString('hex').toUpperCase()
  return hex.replace(/../g, pair => `!${pair}`)
}
