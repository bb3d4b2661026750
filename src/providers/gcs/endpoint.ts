import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { invalid, shown } from '../../core/errors.ts'

/**
 * The origin that requests, and with them credentials, go to. INVALID, field `apiEndpoint`, where it is no plain http(s) origin,
 * is unencrypted to another machine without leave, or is where clouds hand out credentials.
 */
export function checkEndpoint(text: string, allowInsecure: boolean): URL {
  const refuse = (rule: string, what: string): Error =>
    invalid('apiEndpoint', rule, `apiEndpoint ${shown(hideUserinfo(text))} ${what}`)
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw refuse('url', 'is not an http(s) URL')
  if (url.username !== '' || url.password !== '')
    throw refuse('userinfo', 'carries a user name: give credentials apart')
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw refuse('path', 'has a path or a query: only scheme, host and port are wanted')
  }
  if (isMetadataService(url.hostname)) throw refuse('forbidden', 'is link-local: a metadata service, not a bucket')
  if (url.protocol === 'http:' && !isLoopback(url.hostname) && !allowInsecure) {
    throw refuse('insecure', 'is not encrypted: use https, or say allowInsecure: true')
  }
  return url
}

export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '::1' ||
    (isIP(host) === 4 && host.startsWith('127.'))
  )
}

function isMetadataService(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  return isLinkLocal(host) || /^metadata(\.google\.internal)?\.?$/.test(host)
}

/** Also IPv4 written as IPv6, and Amazon's metadata service in its private IPv6 range. */
function isLinkLocal(address: string): boolean {
  return (
    isIP(address) !== 0 && /^169\.254\.|^::ffff:(169\.254\.|a9fe:)|^fe[89ab][0-9a-f]:|^fd00:ec2::254$/.test(address)
  )
}

/** Resolves as the system does, and refuses what leads to the link: a name that was harmless when it was checked may have changed. */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  systemLookup(hostname, options, (error, address: string | LookupAddress[], family?: number) => {
    const found = typeof address === 'string' ? [address] : (address ?? []).map(each => each.address)
    const bad = error === null ? found.find(isLinkLocal) : undefined
    if (bad === undefined) callback(error, address, family)
    else {
      const refusal = new Error(`${hostname} resolves to ${bad}, which is link-local: not connected`)
      callback(Object.assign(refusal, { code: 'EACCES', syscall: 'connect' }), address, family)
    }
  })
}

function hideUserinfo(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@')
}
