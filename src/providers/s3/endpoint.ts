import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { invalid, shown } from '../../core/errors.ts'

export interface EndpointRules {
  /** Allows `http:` to another machine. */
  readonly allowInsecure: boolean
  /** Allows addresses of the link: 169.254.0.0/16, fe80::/10, and the clouds' own metadata services. */
  readonly allowLinkLocal: boolean
}

/**
 * The origin that requests, and with them signatures, go to. INVALID, field `endpoint`, where it is no plain http(s) origin, goes
 * unencrypted to another machine without leave, or is where clouds hand out credentials.
 */
export function checkEndpoint(text: string, rules: EndpointRules): URL {
  const refuse = (rule: string, what: string): Error =>
    invalid('endpoint', rule, `endpoint ${shown(text.replace(/\/\/[^/@]*@/, '//…@'))} ${what}`)
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw refuse('url', 'is not an http(s) URL: give scheme, host and port')
  }
  if (url.username !== '' || url.password !== '') throw refuse('userinfo', 'carries a name: give credentials apart')
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw refuse('path', 'has a path or a query: give scheme, host and port, and the bucket apart')
  }
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (!rules.allowLinkLocal && (isLinkLocal(host) || /^metadata(\.google\.internal)?\.?$/.test(host))) {
    throw refuse('forbidden', 'is link-local, a metadata service perhaps; if it is meant, say allowLinkLocal: true')
  }
  if (url.protocol === 'http:' && !isLoopback(host) && !rules.allowInsecure) {
    throw refuse('insecure', 'is not encrypted: use https, or say allowInsecure: true')
  }
  return url
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.')
  return host === '::1' || host === 'localhost' || host.endsWith('.localhost')
}

/** Also IPv4 written as IPv6, and Amazon's metadata service in its private IPv6 range. */
function isLinkLocal(address: string): boolean {
  return /^169\.254\.|^::ffff:(169\.254\.|a9fe:)|^fe[89ab][0-9a-f]:|^fd00:ec2::254$/.test(address)
}

/** Resolves as the system does, and refuses what resolves to the link: a name may lead there that was none of these when it was checked. */
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
