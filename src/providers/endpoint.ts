import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { invalid, shown } from '../core/errors.ts'

export interface EndpointRules {
  /** The option that says it, for errors. */
  readonly field: string
  /** Allows `http:` to another machine. */
  readonly allowInsecure: boolean
  /** Allows addresses of the link: 169.254.0.0/16, fe80::/10, and the metadata services of the clouds elsewhere. `undefined`: there is no such option. */
  readonly allowLinkLocal: boolean | undefined
  /** `account`: at most the name of an account, as emulators of Azure want it. */
  readonly path: 'none' | 'account'
}

/**
 * The origin that requests, and with them signatures and tokens, go to. INVALID, rule `url`, `userinfo`, `path` or `query`, where it is no
 * plain http(s) origin; `insecure`, where it is unencrypted to another machine without leave; `forbidden`, where clouds hand out
 * credentials. The message shows neither a password nor a query that came with it.
 */
export function checkEndpoint(text: string, rules: EndpointRules): URL {
  const refuse = (rule: string, what: string): Error =>
    invalid(rules.field, rule, `${rules.field} ${shown(withoutSecrets(text))} ${what}`)
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw refuse('url', 'is not an http(s) URL: give scheme, host and port')
  }
  if (url.username !== '' || url.password !== '') throw refuse('userinfo', 'carries a name: give credentials apart')
  const [rule, what] = beyondOrigin(url, rules.path) ?? []
  if (rule !== undefined && what !== undefined) throw refuse(rule, what)
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (rules.allowLinkLocal !== true && (isLinkLocal(host) || /^metadata(\.google\.internal)?\.?$/.test(host))) {
    const leave = rules.allowLinkLocal === undefined ? '' : '; if it is meant, say allowLinkLocal: true'
    throw refuse('forbidden', `is link-local, a metadata service perhaps${leave}`)
  }
  if (url.protocol === 'http:' && !isLoopback(host) && !rules.allowInsecure) {
    throw refuse('insecure', 'is not encrypted: use https, or say allowInsecure: true')
  }
  return url
}

/** What there is besides scheme, host and port, and may not be: the rule that it breaks, and the end of the sentence. */
function beyondOrigin(url: URL, path: EndpointRules['path']): readonly [string, string] | undefined {
  const hasQuery = url.search !== '' || url.hash !== ''
  switch (path) {
    case 'none':
      if (!hasQuery && url.pathname === '/') return undefined
      return ['path', 'has a path or a query: give scheme, host and port, and the bucket apart']
    case 'account':
      if (hasQuery) return ['query', 'has a query: give a SAS as sasToken']
      if (/^\/(?:[a-z0-9]{3,24}\/?)?$/.test(url.pathname)) return undefined
      return ['path', 'has a path that is not the name of an account']
    default:
      return path satisfies never
  }
}

/** This machine: what goes there is not seen by others. Brackets of IPv6 may be there or not. */
export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (isIP(host) === 4) return host.startsWith('127.')
  return host === '::1' || host === 'localhost' || host.endsWith('.localhost')
}

/**
 * Where clouds hand out credentials to whoever asks, and is not in a link-local range: Amazon (of machines, and of pods), Google, Alibaba,
 * Azure's agent, Oracle.
 */
const metadataServices: ReadonlySet<string> = new Set([
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
])

function isLinkLocal(address: string): boolean {
  const plain = plainAddress(address)
  return isIP(plain) !== 0 && (/^169\.254\.|^fe[89ab][0-9a-f]:/i.test(plain) || metadataServices.has(plain))
}

/** IPv4 that is written as IPv6 (mapped, compatible, or for a NAT64) as what it is: `::ffff:a9fe:1` is 169.254.0.1. */
function plainAddress(address: string): string {
  const lower = address.toLowerCase()
  const inside = /^(?:::ffff:|::|64:ff9b::)(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/.exec(lower)
  if (inside === null) return lower
  const [, dotted, high = '', low = ''] = inside
  if (dotted !== undefined) return dotted
  const bytes = [high, low].flatMap(each => [Number.parseInt(each, 16) >> 8, Number.parseInt(each, 16) & 0xff])
  return bytes.join('.')
}

/** Resolves as the system does, and refuses what resolves to the link: a name may lead there that was harmless when it was checked. */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  systemLookup(hostname, options, (error, address: string | LookupAddress[], family?: number) => {
    const found = typeof address === 'string' ? [address] : (address ?? []).map(each => each.address)
    const bad = error === null ? found.find(isLinkLocal) : undefined
    const refusal =
      bad === undefined
        ? error
        : Object.assign(new Error(`${hostname} resolves to ${bad}, which is link-local: not connected`), {
            code: 'EACCES',
            syscall: 'connect',
          })
    callback(refusal, address, family)
  })
}

/** Also of what is no URL at all. */
function withoutSecrets(text: string): string {
  return text.replace(/^([a-z0-9+.-]+:\/\/)?[^]*@/i, '$1…@').replace(/[?#][^]*$/, '?…')
}
