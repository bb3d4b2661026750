import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'

/**
 * A process as an app is one: it opens a store, works, and ends without `close`. Arguments: what it does, the directory, and the origin of
 * the two clouds (none: two providers in memory). Says on stdout only what is awaited here, and whatever a library must not say (I47).
 */
const [work = '', directory = '', origin] = process.argv.slice(2)

for (const event of ['unhandledRejection', 'uncaughtExceptionMonitor', 'warning'] as const)
  process.on(event, (error: unknown) => process.stdout.write(`${event}: ${String(error)}\n`))
process.on('exit', code => process.stdout.write(`exit ${code}\n`))
const say = (text: string) => process.stdout.write(`${text}\n`)

function clouds(): readonly [Provider, Provider] {
  if (origin === undefined) return [memory({ name: 'a' }), memory({ name: 'b' })]
  const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' }
  return [
    s3({ bucket: 'photos', name: 's3', endpoint: origin, region: 'us-east-1', credentials }),
    gcs({ bucket: 'photos', name: 'gcs', apiEndpoint: origin, projectId: 'test' }),
  ]
}

async function* slowly(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 5; i++) {
    await new Promise(resolve => setTimeout(resolve, 20))
    yield Buffer.alloc(20_000, i)
  }
}

try {
  const [primary, secondary] = clouds()
  const store = await openHoldfast({ directory, primary, secondary, holdMs: 0 })
  say('open')
  switch (work) {
    case 'open':
      break
    case 'put':
      await store.put('k', 'body')
      say('put')
      break
    case 'put large':
      await store.put('k', slowly())
      say('put')
      break
    case 'put to all':
      await store.put('k', 'body', { ack: 'all' })
      say('put')
      break
    case 'drain':
      await store.put('k', slowly())
      await store.drain({ until: 'verified' })
      say('drained')
      break
    case 'close':
      // While what came of copies waits to be recorded, at whatever moment of that.
      for (let i = 0; i < 20; i++) {
        const again = i === 0 ? store : await openHoldfast({ directory, primary, secondary, holdMs: 0 })
        // Whoever only listens is not waited for.
        const awake = setInterval(() => {}, 1_000)
        const stored = new Promise(resolve => again.on('stored', resolve))
        await again.put(`k${i}`, 'body')
        await stored
        await new Promise(resolve => setTimeout(resolve, i % 7))
        clearInterval(awake)
        await again.close()
      }
      say('closed')
      break
    case 'list':
    case 'reconcile':
      // Nobody answers, so that between two tries nothing is waited for but time.
      try {
        await (work === 'list' ? Array.fromAsync(store.list()) : store.reconcile())
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error
        say(`${work}: ${error.code}`)
      }
      break
    case 'work':
      // As an app that never looks at what it was promised.
      for (let i = 0; i < 20; i++) {
        await store.put(`k${i}`, i % 2 === 0 ? 'small' : slowly())
        await (await store.get(`k${i}`))?.bytes()
      }
      await store.delete('k3')
      say(`accepted ${(await store.status()).accepted}`)
      break
  }
} catch (error) {
  if (!(error instanceof HoldfastError)) throw error
  say(`refused ${JSON.stringify({ code: error.code, field: error.field, rule: error.rule, message: error.message })}`)
}
