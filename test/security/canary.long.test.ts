import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Recorder } from '../providers/s3-recorder.ts'
import { checkBreaks, checkEcho, forms, startPlaying, ways } from './canary-ways.ts'

// I42, X1: every way in, every call of a driver, every kind of failure.

let server: Recorder
beforeAll(async () => {
  server = await startPlaying()
})
afterAll(() => server[Symbol.asyncDispose]())

const statuses = [200, 301, 404, 503]

describe.each(Object.entries(ways))('%s', (_name, way) => {
  test.each(Object.keys(forms) as (keyof typeof forms)[])(
    'repeats what it was told, as %s: no error has it (I42, X1)',
    async form => {
      expect(await checkEcho(way, form, statuses)).toBeGreaterThan(statuses.length * 4)
    },
  )

  test('connections that break, nobody there, no TLS, no HTTP: no error has a secret (I42, X1)', () => checkBreaks(way))
})
