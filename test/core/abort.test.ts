import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { unlessAborted, untilAborted } from '../../src/core/abort.ts'

const never = (): Promise<never> => new Promise(() => {})

test('a promise settles as it does, and leaves no listener', async () => {
  const { signal } = new AbortController()
  expect(await unlessAborted(Promise.resolve(1), signal)).toBe(1)
  const error = new Error('its own')
  await expect(unlessAborted(Promise.reject(error), signal)).rejects.toBe(error)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('a promise that is waited for no more is dropped, whatever comes of it', async () => {
  const stop = new AbortController()
  const reason = new Error('stop')
  const late = Promise.withResolvers<number>()
  let told = 0
  const waiting = unlessAborted(late.promise, stop.signal, () => told++)
  stop.abort(reason)
  await expect(waiting).rejects.toBe(reason)
  late.reject(new Error('too late'))
  await expect(unlessAborted(never(), stop.signal, () => told++)).rejects.toBe(reason)
  expect(told).toBe(2)
})

test('items stop at the abort, also while one is waited for, and where they come from is told', async () => {
  const stop = new AbortController()
  const reason = new Error('stop')
  let isLeft = false
  const items: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: never,
      async return() {
        isLeft = true
        return { done: true, value: undefined }
      },
    }),
  }
  const step = untilAborted(items, stop.signal)[Symbol.asyncIterator]().next()
  stop.abort(reason)
  await expect(step).rejects.toBe(reason)
  expect(isLeft).toBe(true)
})

test('items come as they are, and leaving early leaves their source', async () => {
  const { signal } = new AbortController()
  let isLeft = false
  async function* numbers(): AsyncIterable<number> {
    try {
      yield 1
      yield 2
      yield 3
    } finally {
      isLeft = true
    }
  }
  expect(await Array.fromAsync(untilAborted(numbers(), signal))).toEqual([1, 2, 3])
  isLeft = false
  for await (const number of untilAborted(numbers(), signal)) if (number === 2) break
  expect(isLeft).toBe(true)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
