import { expect } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { type Answer, named, refuse, reply } from './s3-recorder.ts'

/** What may come instead of what was asked for. */
export const failures: Record<string, Answer> = {
  'a missing bucket': refuse(404, 'NoSuchBucket'),
  'a refused key': refuse(403, 'InvalidAccessKeyId'),
  'a refused object': refuse(403, 'AccessDenied', {}, 'User is not authorized to perform: kms:Decrypt'),
  'another region': refuse(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-central-1' }),
  'another region, said in the body': reply(
    400,
    { ...named, 'content-type': 'application/xml' },
    '<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong &lt;region&gt;</Message><Region>eu-west-3</Region></Error>',
  ),
  'an archived object': refuse(403, 'InvalidObjectState'),
  'a condition': refuse(412, 'PreconditionFailed'),
  'a range': refuse(416, 'InvalidRange'),
  'too many requests': refuse(503, 'SlowDown', { 'retry-after': '7' }),
  'a server error': refuse(500, 'InternalError'),
  'a clock': refuse(403, 'RequestTimeTooSkewed'),
  'a proxy that forbids': reply(403, { 'content-type': 'text/html' }, '<html>No.</html>'),
  'a portal': reply(200, { 'content-type': 'text/html', 'last-modified': 'x' }, '<html>Log in</html>'),
  'a bad gateway': reply(502, {}, 'bad gateway'),
  'an answer without a date': reply(200, named, 'hello'),
  'a connection that ends': (_request, response) => void response.destroy(),
}

/** What is no answer of S3 is told in the words of whoever tried to read it. */
export const isNoS3 = new Set(['a portal', 'a bad gateway', 'a proxy that forbids'])

/** All that a caller sees of an error. */
export function shown(error: unknown): Record<string, unknown> {
  expect(error).toBeInstanceOf(HoldfastError)
  const { code, reason, message, retryable, retryAfterMs, field, rule, key, provider, outcome } = error as HoldfastError
  return { code, reason, message, retryable, retryAfterMs, field, rule, key, provider, outcome }
}
