import { generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'

/** Secrets that are good for nothing, and that no text has by chance. Anything that opens a door at one of the services has one here. */
export interface Canaries {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly bearer: string
  readonly privateKey: string
  readonly accountKey: string
  readonly sas: string
  readonly entra: string
}

export function canaries(): Canaries {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    accessKeyId: 'AKIACANARY7KEYID3XQZ',
    secretAccessKey: 'CanarySecret/3f9a+Kp7xQ2mZ8vL1nR5tY0wB6cD4e',
    sessionToken: 'CanarySession/9Kq+2bVx7TnLw0RzEyUjHsMdGaPfCi5o==',
    bearer: 'CanaryBearer-4hT9wQe2LmZx8vNr',
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    accountKey: Buffer.from('CanaryAccountKey:0123456789abcdefghijklmnopqrstuvwxyz').toString('base64'),
    sas: 'CanarySas/7Uq+1cRk5WzGt3MbXn9YpLd2VhJs8AoEfTi6=',
    entra: 'CanaryEntra-6kD1sVb8QwRt3ZxNm',
  }
}

/** What to look for: of a key in PEM its lines, of everything the ways in which it is written down. */
export function formsOf(secret: string): readonly string[] {
  const words = secret.includes('-----')
    ? secret.split('\n').filter(line => /^[A-Za-z0-9+/]{60,}$/.test(line))
    : [secret]
  const forms = words.flatMap(word => [
    word,
    encodeURIComponent(word),
    JSON.stringify(word).slice(1, -1),
    Buffer.from(word).toString('base64').replace(/=+$/, ''),
    Buffer.from(word).toString('hex'),
  ])
  return [...new Set(forms)]
}

/** Which of the secrets stand in a text, by what they begin with: nothing here shows one whole. */
export function foundIn(text: string, secrets: Iterable<string>): readonly string[] {
  const found: string[] = []
  for (const secret of secrets) {
    if (secret.length < 12) throw new Error(`${secret} is too short to be told from other words`)
    for (const form of formsOf(secret)) {
      const at = text.indexOf(form)
      if (at >= 0) found.push(`${form.slice(0, 10)}… in: ${text.slice(Math.max(0, at - 120), at + 12)}`)
    }
  }
  return found
}

/** Everything that a person or a log gets to see of a value: as text, as JSON, by the inspector, with its causes. */
export function viewsOf(value: unknown): string {
  const views = [
    String(value),
    inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true, maxStringLength: null }),
    asJson(value),
  ]
  for (let error = value, depth = 0; error instanceof Error && depth < 10; error = error.cause, depth++) {
    views.push(error.message, error.stack ?? '', asJson(error), asJson(Object.getOwnPropertyDescriptors(error)))
  }
  return views.join('\n')
}

function asJson(value: unknown): string {
  const seen = new Set<unknown>()
  return (
    JSON.stringify(value, (_name, each: unknown) => {
      if (typeof each !== 'object' || each === null) return typeof each === 'bigint' ? String(each) : each
      if (seen.has(each)) return '(again)'
      seen.add(each)
      return each
    }) ?? ''
  )
}
