import { Refusal } from './refusal.ts'

/** An element with children that are XML already. */
export function element(name: string, ...children: readonly string[]): string {
  return `<${name}>${children.join('')}</${name}>`
}

/** An element with text in it. */
export function text(name: string, value: string | number | boolean): string {
  return `<${name}>${typeof value === 'string' ? escaped(value) : value}</${name}>`
}

/** A whole answer in S3's namespace. */
export function answerXml(name: string, ...children: readonly string[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${children.join('')}</${name}>`
}

const special = /[&<>"\r\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/
const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Characters that XML cannot hold go out as references all the same, which is what S3 does. */
function escaped(value: string): string {
  if (!special.test(value)) return value
  return value.replace(
    new RegExp(special, 'g'),
    character => entities[character] ?? `&#x${character.charCodeAt(0).toString(16)};`,
  )
}

/** What a client sent, as far as S3's requests need it. */
export interface XmlElement {
  readonly name: string
  readonly children: readonly XmlElement[]
  /** Of an element without children. */
  readonly text: string
}

const mostElements = 100_000
const deepest = 16
const nameStart = /[A-Za-z_]/
const opening = /<([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y
const closing = /<\/([A-Za-z_][\w.:-]*)\s*>/y
const declaration = /^\ufeff?\s*(?:<\?xml\s[^?<>]*\?>\s*)?/

/**
 * The root of a document of elements and text. Strict: no document type, no comments, no processing instructions, no entities but the
 * five of XML and character references; at most 100,000 elements, 16 deep. Anything else is MalformedXML.
 */
export function parseXml(bytes: Uint8Array): XmlElement {
  const source = utf8(bytes)
  let at = declaration.exec(source)?.[0].length ?? 0
  let elements = 0

  function parse(depth: number): XmlElement {
    opening.lastIndex = at
    const start = opening.exec(source)
    if (start === null || depth > deepest || ++elements > mostElements) throw new Refusal('MalformedXML')
    at = opening.lastIndex
    const name = start[1] as string
    if (start[3] === '/') return { name, children: [], text: '' }
    const children: XmlElement[] = []
    let raw = ''
    for (;;) {
      const next = source.indexOf('<', at)
      if (next < 0) throw new Refusal('MalformedXML')
      raw += source.slice(at, next)
      at = next
      if (nameStart.test(source.charAt(at + 1))) {
        children.push(parse(depth + 1))
        continue
      }
      closing.lastIndex = at
      if (closing.exec(source)?.[1] !== name) throw new Refusal('MalformedXML')
      at = closing.lastIndex
      if (children.length > 0 && raw.trim() !== '') throw new Refusal('MalformedXML')
      return { name, children, text: children.length > 0 ? '' : unescaped(raw) }
    }
  }

  const root = parse(1)
  if (source.slice(at).trim() !== '') throw new Refusal('MalformedXML')
  return root
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Refusal('MalformedXML')
  }
}

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescaped(raw: string): string {
  if (raw.includes(']]>')) throw new Refusal('MalformedXML')
  if (!raw.includes('&')) return raw
  return raw.replace(/&([^;&]*)(;?)/g, (_, name: string, end: string) => {
    const code = /^#x[0-9a-fA-F]{1,6}$/.test(name)
      ? Number.parseInt(name.slice(2), 16)
      : /^#[0-9]{1,7}$/.test(name)
        ? Number(name.slice(1))
        : undefined
    if (end !== ';' || (code !== undefined && code > 0x10ffff)) throw new Refusal('MalformedXML')
    const character = code === undefined ? named[name] : String.fromCodePoint(code)
    if (character === undefined) throw new Refusal('MalformedXML')
    return character
  })
}

/** The text of the only child of this name; undefined where there is none. */
export function childText(parent: XmlElement, name: string): string | undefined {
  const found = parent.children.filter(child => child.name === name)
  if (found.length > 1) throw new Refusal('MalformedXML')
  return found[0]?.text
}
