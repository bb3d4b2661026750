import { expect, test } from 'vitest'
import { amazonAt, named, ofObject, startRecorder } from './s3-recorder.ts'

const { signal } = new AbortController()
const stamped = /^(....)(..)(..)T(..)(..)(..)Z$/
const timeOf = (stamp: unknown): number => Date.parse(String(stamp).replace(stamped, '$1-$2-$3T$4:$5:$6Z'))

test.each(['sdk', 'auto'] as const)(
  'by %s: an answer that is read 20 minutes late, since the process stood still, makes no look after it a refusal of its key',
  async transport => {
    let lateMs = 0
    await using server = await startRecorder(({ method, headers }, response) => {
      const date = new Date(Date.now() - lateMs).toUTCString()
      if (Math.abs(timeOf(headers['x-amz-date']) - Date.now()) > 15 * 60_000) {
        response.writeHead(403, { ...named, date })
        response.end(method === 'HEAD' ? undefined : '<Error><Code>RequestTimeTooSkewed</Code></Error>')
      } else if (method === 'HEAD') response.writeHead(200, { ...ofObject, date, 'content-length': '5' }).end()
      else
        response.writeHead(206, { ...ofObject, date, 'content-length': '1', 'content-range': 'bytes 0-0/5' }).end('h')
    })
    const provider = await amazonAt(server.endpoint, { transport })
    await provider.head('a', signal)
    await provider.head('a', signal)
    lateMs = 20 * 60_000
    await provider.head('a', signal)
    lateMs = 0
    expect(await provider.head('a', signal)).toMatchObject({ size: 5 })
    const [late, byte, again] = server.requests.slice(-3)
    expect([late, byte, again].map(asked => asked?.method)).toEqual(['HEAD', 'GET', 'HEAD'])
    expect(timeOf(late?.headers['x-amz-date']), 'signed by the time of the late answer').toBeLessThan(
      Date.now() - 900_000,
    )
  },
)
