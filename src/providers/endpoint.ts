import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { invalid, shown } from '../core/errors.ts'

export interface EndpointRules {
  /** The option that says it, for errors. */
  readonly field: string
  /** Allows `http:` to another machine. */
  readonly allowInsecure: boolean
  /** Allows addresses of the link: 169.254.0.0/16, fe80::/10, and the clouds' own metadata services. `undefined`: there is no such option. */
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

/** Also IPv4 written as IPv6, and Amazon's metadata service in its private IPv6 range. */
function isLinkLocal(address: string): boolean {
  return (
    isIP(address) !== 0 && /^169\.254\.|^::ffff:(169\.254\.|a9fe:)|^fe[89ab][0-9a-f]:|^fd00:ec2::254$/i.test(address)
  )
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
