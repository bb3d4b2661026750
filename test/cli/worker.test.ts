import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { fs } from '../../src/providers/fs.ts'
import { eventually } from '../support/store.ts'
import { type Place, place } from './run.ts'

/** The app: this process, which leaves replication to another. */
function app(here: Place, run: 'here' | 'external') {
  const [primary, secondary] = ['a', 'b'].map(name => fs({ root: join(here.path, name), name }))
  if (primary === undefined || secondary === undefined) throw new Error('no providers')
  return openHoldfast({ directory: join(here.path, 'store'), primary, secondary, holdMs: 0, replication: { run } })
}

test('an app leaves replication to a worker; one that is killed is followed by the next, and nothing is lost (P3, P9)', async () => {
  await using here = await place()
  await using store = await app(here, 'external')
  const first = here.start('worker --objects')
  await first.said('replicating')
  const second = here.start('worker --json')
  const before = await store.put('before', 'x')
  await before.replicated({ until: 'verified', signal: AbortSignal.timeout(10_000) })
  await first.said('stored: before at a')

  first.child.kill('SIGKILL')
  const after = await store.put('after', 'y')
  await after.replicated({ until: 'verified', signal: AbortSignal.timeout(10_000) })
  await eventually(async () => (await store.status()).done === 2)

  second.child.kill('SIGTERM')
  const { code, stdout, stderr } = await second.ended
  const events = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { event: string; held?: boolean })
  expect(events.filter(({ event }) => event === 'lease')).toMatchObject([{ held: true }, { held: false }])
  expect([code, stderr]).toEqual([0, ''])
})

test('beside a running app: commands look, accept, and leave the work to it', async () => {
  await using here = await place()
  await using store = await app(here, 'here')
  const [put, drained] = await Promise.all([here.run('put k', { stdin: 'body' }), here.run('drain')])
  expect([put.code, drained.code]).toEqual([0, 0])
  expect(await (await store.get('k'))?.text()).toBe('body')
  await store.drain({ until: 'verified' })
  const status = await here.run('status --json')
  expect(JSON.parse(status.stdout)).toMatchObject({
    accepted: 1,
    done: 1,
    providers: [{ state: 'up' }, { state: 'up' }],
  })
})

test('Ctrl-C: a worker lets what is on its way end, and ends with 130; npm hands on the same Ctrl-C a second time', async () => {
  await using here = await place()
  const worker = here.start('worker')
  await worker.said('replicating')
  worker.child.kill('SIGINT')
  worker.child.kill('SIGINT')
  const { code, stderr } = await worker.ended
  expect(code).toBe(130)
  expect(stderr).toContain('stopped; what is left goes on with the next one that replicates')
  expect(stderr).toMatch(/holdfast: stopped by SIGINT\n$/)
})

test('who waits says who works, and can be stopped; a time that is over is 1, what only a person can settle is 3', async () => {
  await using here = await place({ holdMs: 600_000 })
  const worker = here.start('worker')
  await worker.said('replicating')
  expect((await here.run('put k', { stdin: 'body' })).code).toBe(0)
  const waiting = here.start('drain --until verified --every 0.2')
  await waiting.said('another process replicates this directory')
  waiting.child.kill('SIGINT')
  const [{ code, stdout }, late] = await Promise.all([waiting.ended, here.run('drain --until verified --timeout 0.3')])
  expect([code, stdout]).toEqual([130, ''])
  expect(late.code).toBe(1)
  expect(late.stderr).toMatch(/^holdfast: not done in 0\.3 s: 0 writes on the way, 1 waiting for the second look; /m)

  await using broken = await place({ secondary: 'fs:/proc/nowhere?name=b' })
  await broken.run('put k', { stdin: 'body' })
  const blocked = await broken.run('drain')
  expect(blocked.code).toBe(3)
  expect(blocked.stderr).toMatch(/^holdfast: b does not take the write \(BUCKET\): /m)
})
