import assert from 'node:assert/strict'
import { noMemo } from '../../core/provider.ts'
import { type Check, collect, content, failure, plainHeaders, soon, sourceOf } from './bench.ts'

/** Whatever waits stops at once, with the reason that the signal was given. */
export function testAborts(check: Check): void {
  check('a signal that is aborted already stops every call', async bench => {
    const { provider, under } = bench
    const key = `${under}key`
    await bench.put(key, 'before')
    const reason = new Error('not now')
    const signal = AbortSignal.abort(reason)
    const source = sourceOf('after')
    const put = { key, source, headers: plainHeaders, metadata: {}, condition: undefined, upload: noMemo }
    const request = { prefix: under, delimiter: '', startAfter: '' }
    const sign = { key, expiresInSeconds: 60, contentType: undefined, contentDisposition: undefined, createOnly: false }
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      learn: () => provider.learn(undefined, signal),
      put: () => provider.put(put, signal),
      head: () => provider.head(key, signal),
      get: () => provider.get({ key, range: undefined, token: undefined }, signal),
      delete: () => provider.delete(key, undefined, signal),
      list: () => collect(provider.list(request, signal)),
      sign: () => provider.sign({ method: 'GET', ...sign }, signal),
      abandon: () => provider.abandon(key, 'state', signal),
    }
    for (const [name, call] of Object.entries(calls)) {
      assert.equal(await soon(failure(call()), name), reason, `${name} rejects with the signal's own reason`)
    }
    assert.equal(await bench.text(key), 'before')
  })

  check('a put aborted in the middle of its body stops at once and stores nothing', async bench => {
    for (const size of new Set([200_000, bench.largest])) {
      const key = `${bench.under}${size}`
      await bench.put(`${key} old`, 'before')
      for (const name of [key, `${key} old`]) {
        const stop = new AbortController()
        const reason = new Error('stop')
        const source = sourceOf(content(size), {
          before(at) {
            if (at < size / 2) return
            setTimeout(() => stop.abort(reason), 20)
            return new Promise<void>(() => {})
          },
        })
        const put = failure(bench.put(name, source, { signal: stop.signal }))
        assert.equal(await soon(put, 'a put whose source hangs', 15_000), reason)
      }
      await new Promise(resolve => setTimeout(resolve, 100))
      assert.equal(await bench.head(key), undefined)
      assert.equal(await bench.text(`${key} old`), 'before')
    }
  })

  check('a body stops when the signal of its get is aborted', async bench => {
    const { provider, under } = bench
    const key = `${under}key`
    await bench.put(key, content(3_000_000))
    for (const chunks of [0, 1]) {
      const stop = new AbortController()
      const reason = new Error('stop')
      const found = await provider.get({ key, range: undefined, token: undefined }, stop.signal)
      assert.ok(found)
      const iterator = found.body[Symbol.asyncIterator]()
      for (let i = 0; i < chunks; i++) assert.equal((await iterator.next()).done, false)
      stop.abort(reason)
      assert.equal(await soon(failure(iterator.next()), 'the next chunk'), reason)
      await soon(found.close(), 'close')
    }
    assert.equal((await bench.head(key))?.size, 3_000_000)
  })

  check('a listing stops when its signal is aborted', async bench => {
    const { provider, under } = bench
    for (const name of ['a', 'b', 'c']) await bench.put(under + name, name)
    const stop = new AbortController()
    const reason = new Error('stop')
    const request = { prefix: under, delimiter: '', startAfter: '' }
    const iterator = provider.list(request, stop.signal)[Symbol.asyncIterator]()
    if (bench.capabilities.listsAtOnce) assert.equal((await iterator.next()).done, false)
    stop.abort(reason)
    assert.equal(await soon(failure(iterator.next()), 'the next entry'), reason)
  })

  check('calls aborted while they are under way reject with the reason, or are done', async bench => {
    const { provider, under } = bench
    const key = `${under}key`
    await bench.put(key, content(100_000))
    for (const call of [
      (signal: AbortSignal): Promise<unknown> => provider.head(key, signal),
      (signal: AbortSignal): Promise<unknown> =>
        provider.get({ key, range: undefined, token: undefined }, signal).then(found => found?.close()),
      (signal: AbortSignal): Promise<unknown> =>
        collect(provider.list({ prefix: under, delimiter: '', startAfter: '' }, signal)),
      (signal: AbortSignal): Promise<unknown> => bench.put(`${under}other`, content(100_000), { signal }),
      (signal: AbortSignal): Promise<unknown> => provider.delete(`${under}other`, undefined, signal),
    ]) {
      for (const ms of [0, 1, 3]) {
        const stop = new AbortController()
        const reason = new Error('stop')
        setTimeout(() => stop.abort(reason), ms)
        const error = await soon(
          call(stop.signal).then(
            () => undefined,
            (caught: unknown) => caught,
          ),
          'an aborted call',
        )
        assert.ok(error === undefined || error === reason, String(error))
      }
    }
  })
}
