import assert from 'node:assert/strict'
import { HoldfastError } from '../../core/errors.ts'
import type { PutResult } from '../../core/provider.ts'
import { type Bench, bytesOf, type Check, content, failure, refused } from './bench.ts'

/** Conditions hold, atomically, where the provider says so; elsewhere they are refused, and change nothing. */
export function testConditions(check: Check): void {
  check('a create-only put never replaces an object', async bench => {
    for (const size of sizesOf(bench)) {
      const key = `${bench.under}${size}`
      const condition = { absent: true } as const
      if (!bench.capabilities.createIfAbsent) {
        await refused(bench.put(key, content(size), { condition }), 'UNSUPPORTED')
        assert.equal(await bench.head(key), undefined)
        continue
      }
      const { token } = await bench.put(key, content(size), { condition })
      await refused(bench.put(key, content(size, 2), { condition }), 'PRECONDITION', 'CONDITION')
      await unchanged(bench, key, token, content(size))
      await bench.provider.delete(key, undefined, bench.signal)
      await bench.put(key, content(size, 3), { condition })
    }
  })

  check('a replacing put replaces only the object that it names', async bench => {
    for (const size of sizesOf(bench)) {
      const key = `${bench.under}${size}`
      const first = await bench.put(key, content(size, 1))
      if (!bench.capabilities.replaceIf) {
        await refused(bench.put(key, content(size, 2), { condition: { token: first.token } }), 'UNSUPPORTED')
        await unchanged(bench, key, first.token, content(size, 1))
        continue
      }
      const second = await bench.put(key, content(size, 2), { condition: { token: first.token } })
      const stale = bench.put(key, content(size, 3), { condition: { token: first.token } })
      await refused(stale, 'PRECONDITION', 'CONDITION')
      await unchanged(bench, key, second.token, content(size, 2))
      await bench.provider.delete(key, undefined, bench.signal)
      const late = bench.put(key, content(size, 3), { condition: { token: second.token } })
      await refused(late, 'PRECONDITION', 'CONDITION')
      assert.equal(await bench.head(key), undefined)
    }
  })

  check('a token of another object is not a token of this one', async bench => {
    if (!bench.capabilities.replaceIf) return
    const other = await bench.put(`${bench.under}other`, 'other')
    const { token } = await bench.put(`${bench.under}key`, 'this')
    const wrong = bench.put(`${bench.under}key`, 'new', { condition: { token: other.token } })
    await refused(wrong, 'PRECONDITION', 'CONDITION')
    await unchanged(bench, `${bench.under}key`, token, Buffer.from('this'))
  })

  check('a conditional delete deletes only the object that it names', async bench => {
    const { provider, capabilities, signal } = bench
    const key = `${bench.under}key`
    const first = await bench.put(key, 'one')
    if (!capabilities.deleteIf) {
      await refused(provider.delete(key, first.token, signal), 'UNSUPPORTED')
      await unchanged(bench, key, first.token, Buffer.from('one'))
      return
    }
    const second = await bench.put(key, 'two')
    await refused(provider.delete(key, first.token, signal), 'PRECONDITION', 'CONDITION')
    await unchanged(bench, key, second.token, Buffer.from('two'))
    await provider.delete(key, second.token, signal)
    assert.equal(await bench.head(key), undefined)
    // Nothing is there: some services say so by the condition, others as for any delete.
    const error = await provider.delete(key, second.token, signal).then(() => undefined, Object)
    if (error !== undefined) assert.ok(error instanceof HoldfastError && error.code === 'PRECONDITION', String(error))
  })

  check('a pinned read gives only the object that it names', async bench => {
    const { provider, capabilities, signal } = bench
    const key = `${bench.under}key`
    const { token } = await bench.put(key, 'first body')
    const pinned = (pin: string, range?: { start: number }): ReturnType<typeof provider.get> =>
      provider.get({ key, range, token: pin }, signal)
    if (!capabilities.readIf) {
      await refused(pinned(token), 'UNSUPPORTED')
      return
    }
    const whole = await pinned(token)
    assert.ok(whole && (await bytesOf(whole)).equals(Buffer.from('first body')))
    const second = await bench.put(key, 'second body')
    await refused(pinned(token), 'PRECONDITION', 'CONDITION')
    await refused(pinned(token, { start: 3 }), 'PRECONDITION', 'CONDITION')
    const part = await pinned(second.token, { start: 7 })
    assert.ok(part && (await bytesOf(part)).equals(Buffer.from('body')))
    await provider.delete(key, undefined, signal)
    assert.equal(await pinned(second.token), undefined)
  })

  check('of creates at the same time exactly one wins', async bench => {
    if (!bench.capabilities.createIfAbsent) return
    for (const [round, size] of [10, 100_000].entries()) {
      const key = `${bench.under}${round}`
      await oneWinner(
        bench,
        key,
        writer => bench.put(key, content(size, writer), { condition: { absent: true } }),
        size,
      )
    }
  })

  check('of replaces at the same time exactly one wins', async bench => {
    if (!bench.capabilities.replaceIf) return
    for (const [round, size] of [10, 100_000].entries()) {
      const key = `${bench.under}${round}`
      const { token } = await bench.put(key, 'before')
      await oneWinner(bench, key, writer => bench.put(key, content(size, writer), { condition: { token } }), size)
    }
  })

  check('of a replace and a delete of the same object only one happens', async bench => {
    if (!bench.capabilities.replaceIf || !bench.capabilities.deleteIf) return
    for (let round = 0; round < 5; round++) {
      const key = `${bench.under}${round}`
      const { token } = await bench.put(key, 'before')
      const [replaced, deleted] = await Promise.allSettled([
        bench.put(key, 'after', { condition: { token } }),
        bench.provider.delete(key, token, bench.signal),
      ])
      // A delete that found nothing any more may resolve: then the replace had not happened before it, and cannot after.
      if (replaced.status === 'fulfilled') {
        assert.equal(deleted.status, 'rejected')
        assert.equal(await bench.text(key), 'after')
      } else {
        assert.equal(deleted.status, 'fulfilled')
        assert.equal(await bench.head(key), undefined)
      }
    }
  })
}

/** Small ones go in one request, the largest perhaps in parts. */
function sizesOf(bench: Bench): readonly number[] {
  return [10, bench.largest]
}

async function unchanged(bench: Bench, key: string, token: string, bytes: Uint8Array): Promise<void> {
  assert.equal((await bench.head(key))?.token, token)
  const found = await bench.provider.get({ key, range: undefined, token: undefined }, bench.signal)
  assert.ok(found && (await bytesOf(found)).equals(bytes), 'the object is as it was')
}

async function oneWinner(
  bench: Bench,
  key: string,
  put: (writer: number) => Promise<PutResult>,
  size: number,
): Promise<void> {
  const writers = Array.from({ length: 8 }, (_none, index) => index + 1)
  const results = await Promise.allSettled(writers.map(put))
  const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []))
  assert.equal(winners.length, 1, `${winners.length} of 8 won`)
  for (const result of results) {
    if (result.status === 'fulfilled') continue
    const error: unknown = await failure(Promise.reject(result.reason))
    // "Another one is at it, try again" is as good an answer as "it is there".
    const lost = error instanceof HoldfastError && (error.code === 'PRECONDITION' || error.code === 'UNAVAILABLE')
    assert.ok(lost, String(error))
  }
  const [winner] = winners
  const won = results[winner as number] as PromiseFulfilledResult<PutResult>
  await unchanged(bench, key, won.value.token, content(size, (winner as number) + 1))
}
