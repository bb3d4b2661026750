import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { testDirectory } from '../support/store.ts'
import { run, scratch } from './run.ts'

/** Takes connections, and never says a word. */
async function blackHole(): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.resume()
  })
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => {
      server.close(resolve)
    })
  })
  const { port } = server.address() as { port: number }
  return `http://127.0.0.1:${port}`
}

/** A port where nobody listens. */
async function closedPort(): Promise<string> {
  const server = createServer()
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as { port: number }
  await new Promise(resolve => {
    server.close(resolve)
  })
  return `http://127.0.0.1:${port}`
}

describe('a process that never calls close', () => {
  const works: Readonly<Record<string, readonly string[]>> = {
    open: ['open'],
    put: ['open', 'put'],
    'put large': ['open', 'put'],
    'put to all': ['open', 'put'],
    drain: ['open', 'drained'],
    work: ['open', 'accepted 21'],
  }
  for (const [work, said] of Object.entries(works))
    test(`${work}: is kept alive by what it awaits, then ends by itself, and says nothing (I47)`, async () => {
      const directory = join(await scratch(), 'store')
      const { lines, stderr, code } = await run([work, directory])
      expect({ lines, stderr, code }).toEqual({ lines: [...said, 'exit 0'], stderr: '', code: 0 })
    })

  test('close: ends only when the store is closed, also where only time is waited for (I47)', async () => {
    const { lines, stderr, code } = await run(['close', join(await scratch(), 'store')])
    expect({ lines, stderr, code }).toEqual({ lines: ['open', 'closed', 'exit 0'], stderr: '', code: 0 })
  })

  test('loses nothing by that: the next one has it all (P4, I1)', async () => {
    await using directory = await testDirectory({ orphans: 'allowed' })
    await run(['work', directory.path, await closedPort()])
    const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })], {
      replication: { run: 'external' },
    })
    expect((await store.status()).accepted).toBe(21)
    expect((await (await store.get('k1'))?.bytes())?.byteLength).toBe(100_000)
    expect(await store.get('k3')).toBeUndefined()
  })

  test.each(['list', 'reconcile'])(
    '%s: hears that no cloud is there, instead of ending in the middle of it (I47)',
    async work => {
      const directory = join(await scratch(), 'store')
      const { lines, stderr, code } = await run([work, directory, await closedPort()])
      expect({ lines, stderr, code }).toEqual({
        lines: ['open', `${work}: UNAVAILABLE`, 'exit 0'],
        stderr: '',
        code: 0,
      })
    },
  )

  for (const [what, origin] of Object.entries({ 'that are silent': blackHole, 'that are not there': closedPort }))
    test(`with two clouds ${what} it works all the same, ends by itself, and says nothing (I11, I47)`, {
      timeout: 60_000,
    }, async () => {
      const directory = join(await scratch(), 'store')
      const { lines, stderr, code, ms } = await run(['work', directory, await origin()], { patienceMs: 50_000 })
      console.log(`with two clouds ${what} the process ended after ${Math.round(ms)} ms`)
      expect({ lines, stderr, code }).toEqual({ lines: ['open', 'accepted 21', 'exit 0'], stderr: '', code: 0 })
    })
})
