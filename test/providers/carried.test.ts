import { expect, test } from 'vitest'
import { carriedSecrets } from '../../src/providers/carried.ts'
import { errorMaker } from '../../src/providers/errors.ts'

// What an error must not show of the requests that came before it, in whatever words it is repeated (I42, X1).

const token = 'FwoGZXIvYXdzEJr//////////wEaDCanary=='

test('tokens, signatures and signed queries are taken out of a text, encoded ones too (I42)', () => {
  const carried = carriedSecrets()
  carried.note(
    {
      'X-Amz-Security-Token': token,
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIACANARY0000001/2026/eu/s3/aws4_request, SignedHeaders=host, Signature=0123456789abcdef',
    },
    '',
  )
  carried.note({ authorization: 'Bearer CanaryBearer01' }, '/upload/o?upload_id=CanaryUpload01&name=key')
  carried.note({ Authorization: 'SharedKey account:CanaryShared01==' }, 'http://host/c?sv=1&sig=CanarySas%2B01%3D')
  const all = [
    token,
    encodeURIComponent(token),
    'AKIACANARY0000001',
    '0123456789abcdef',
    'CanaryBearer01',
    'CanaryUpload01',
    'CanaryShared01==',
    'CanarySas+01=',
    'CanarySas%2B01%3D',
  ]
  expect(carried.without(`said: ${all.join(' | ')}.`)).toBe(`said: ${all.map(() => '[hidden]').join(' | ')}.`)
  expect(carried.without('key account host 2026 SignedHeaders')).toBe('key account host 2026 SignedHeaders')
})

test('what is short is a word like any other, and old requests are forgotten', () => {
  const carried = carriedSecrets()
  carried.note({ authorization: 'Bearer id' }, '?sig=abc')
  expect(carried.without('id abc')).toBe('id abc')
  carried.note({ authorization: 'Bearer CanaryBearer01' }, '')
  for (let i = 0; i < 1000; i++) carried.note({}, '')
  expect(carried.without('CanaryBearer01')).toBe('CanaryBearer01')
})

test('an error is without them in its message and in its causes; a cause that has none is the one that was given (I42)', () => {
  const carried = carriedSecrets()
  carried.note({ authorization: `Bearer ${token}` }, '')
  const errors = errorMaker('s3', carried)
  const inner = new Error(`inside ${token}`)
  const cause = Object.assign(new Error('outside', { cause: inner }), { code: 'E1', requestId: token })
  const { message, cause: shown } = errors.because('DENIED', 'FORBIDDEN', `no: ${token}`, { cause })
  expect(message).toBe('s3: no: [hidden]')
  expect(shown).toMatchObject({
    message: 'outside',
    code: 'E1',
    requestId: '[hidden]',
    cause: { message: 'inside [hidden]' },
  })
  expect(String((shown as Error).stack)).toContain('outside')
  const plain = new Error('nothing of it')
  expect(errors.because('DENIED', 'FORBIDDEN', 'no', { cause: plain }).cause).toBe(plain)
  expect(errors.because('DENIED', 'FORBIDDEN', 'no', { cause: 'a text' }).cause).toBe('a text')
})

test('a cause that leads back to itself, or is no error as others are, is no reason for another error (I42, I47)', () => {
  const carried = carriedSecrets()
  carried.note({ authorization: `Bearer ${token}` }, '')
  const errors = errorMaker('s3', carried)
  const round = new Error(`around ${token}`)
  round.cause = new Error('and around', { cause: round })
  const { message, cause } = errors.unknown(round)
  expect(message).toBe('s3: failed unexpectedly: around [hidden]')
  const said: unknown[] = []
  for (let at = cause as Error | undefined; at !== undefined; at = at.cause as Error | undefined)
    said.push(at.message, at.stack)
  expect(said).toContain('and around')
  expect(said.join('\n')).not.toContain(token)
  const odd = Object.assign(new Error('odd'), { name: 7 })
  expect(errors.unknown(odd).cause).toBe(odd)
})

test('a stack that says more than its message is without them too (I42)', () => {
  const carried = carriedSecrets()
  carried.note({ authorization: `Bearer ${token}` }, '')
  const cause = new Error('failed')
  cause.stack = `Error: failed with ${token}\n    at sent (app.js:1:1)`
  const shown = errorMaker('s3', carried).because('DENIED', 'FORBIDDEN', 'no', { cause }).cause as Error
  expect(shown.stack).toBe('Error: failed with [hidden]\n    at sent (app.js:1:1)')
})
