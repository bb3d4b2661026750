import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { settle } from '../core/time.ts'
import { world } from './world.ts'

const key = 'notes/a.txt'

async function small(text = 'a small body') {
  const w = world({ hedge: true })
  for (const place of w.places) await w.store(place, key, 1, text)
  const controller = new AbortController()
  const found = await w.get(key, undefined, controller.signal)
  if (found === undefined) throw new Error('it was stored')
  return { found, controller }
}

test('an abort of the signal of the get ends a body in memory too, with the reason, while nobody has read it', async () => {
  const reason = new Error('enough')
  for (const isAsked of [true, false]) {
    const { found, controller } = await small()
    const reader = isAsked ? found.body.getReader() : undefined
    controller.abort(reason)
    await expect((reader ?? found.body.getReader()).read()).rejects.toBe(reason)
  }
  const { found, controller } = await small()
  controller.abort(reason)
  await expect(found.bytes()).rejects.toBe(reason)
})

test('a small body that was read, left or is empty listens to the signal of its get no more', async () => {
  const read = await small()
  expect(await read.found.text()).toBe('a small body')
  const streamed = await small()
  for await (const chunk of streamed.found.body) expect(Buffer.from(chunk).toString()).toBe('a small body')
  const left = await small()
  await left.found.body.cancel()
  const empty = await small('')
  expect(await empty.found.body.getReader().read()).toEqual({ done: true, value: undefined })
  await settle()
  for (const { controller } of [read, streamed, left, empty])
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
})
