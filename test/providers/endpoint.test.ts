import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { checkEndpoint, type EndpointRules, isLoopback } from '../../src/providers/endpoint.ts'

// What all drivers hold of the place that they send credentials to (I46). That each of them asks is in its own tests.

const strict: EndpointRules = { field: 'endpoint', allowInsecure: false, allowLinkLocal: undefined, path: 'none' }
const withAccount: EndpointRules = { ...strict, path: 'account' }

function refusal(text: string, rules: EndpointRules): HoldfastError | undefined {
  try {
    checkEndpoint(text, rules)
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
  return undefined
}

describe('an endpoint', () => {
  test.each([
    'https://169.254.169.254',
    'http://2852039166',
    'http://0xa9.0xfe.0xa9.0xfe',
    'https://169.254.169.254.',
    'https://[fd00:ec2::254]',
    'https://[fd00:ec2::23]',
    'https://[fd20:ce::254]',
    'https://100.100.100.200',
    'https://168.63.129.16',
    'https://192.0.0.192',
    'https://[::ffff:100.100.100.200]',
    'https://[::169.254.169.254]',
    'https://[64:ff9b::169.254.169.254]',
    'https://[FE80::1]',
    'https://[::ffff:169.254.169.254]',
    'https://metadata',
    'https://metadata.google.internal.',
    'https://METADATA.google.internal',
  ])('%s is where credentials are handed out (I46, X3)', text => {
    for (const rules of [strict, withAccount, { ...strict, allowInsecure: true }, { ...strict, allowLinkLocal: false }])
      expect(refusal(text, rules)?.rule).toBe('forbidden')
    expect(refusal(text, { ...strict, allowInsecure: true, allowLinkLocal: true })).toBeUndefined()
  })

  test('leave for the link is offered where there is an option for it', () => {
    expect(refusal('https://169.254.1.1', strict)?.message).not.toContain('allowLinkLocal')
    expect(refusal('https://169.254.1.1', { ...strict, allowLinkLocal: false })?.message).toContain('allowLinkLocal')
  })

  test.each(['http://example.com', 'http://10.0.0.1', 'http://localhost.example.com', 'http://127.0.0.1.example.com'])(
    '%s is unencrypted to another machine (I46, X3)',
    text => {
      expect(refusal(text, strict)?.rule).toBe('insecure')
      expect(refusal(text, { ...strict, allowInsecure: true })).toBeUndefined()
    },
  )

  test.each([
    'http://127.0.0.1:9000',
    'http://127.1',
    'http://[::1]:9000',
    'http://a.localhost',
    'https://example.com',
  ])('%s is taken', text => {
    expect(refusal(text, strict)).toBeUndefined()
    expect(refusal(text, withAccount)).toBeUndefined()
  })

  test('has the name of an account for a path at most, and only where that is wanted', () => {
    expect(refusal('https://example.com/account1', withAccount)).toBeUndefined()
    expect(refusal('https://example.com/account1', strict)?.rule).toBe('path')
    expect(refusal('https://example.com/account1/box', withAccount)?.rule).toBe('path')
    expect(refusal('https://example.com/?x=1', withAccount)?.rule).toBe('query')
    expect(refusal('https://example.com/?x=1', strict)?.rule).toBe('path')
  })

  test.each([
    'https://user:canary@example.com',
    'https://user:can/canary@example.com',
    'user:canary@example.com',
    'https://user:canary?@example.com@',
    'https://example.com/?sig=canary',
    'https://example.com/#canary',
    'ftp://user:canary@example.com',
  ])('%s is refused without its secret (I42, I46, X3)', text => {
    for (const rules of [strict, withAccount]) {
      const error = refusal(text, rules)
      expect(error).toMatchObject({ code: 'INVALID', field: 'endpoint', outcome: 'rejected' })
      expect(error?.message).not.toContain('canary')
    }
  })
})

test('this machine is known by name and by number', () => {
  for (const host of ['localhost', 'LOCALHOST', 'x.localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]'])
    expect(isLoopback(host), host).toBe(true)
  for (const host of ['localhost.example.com', '128.0.0.1', '127.example.com', '::2', ''])
    expect(isLoopback(host), host).toBe(false)
})
