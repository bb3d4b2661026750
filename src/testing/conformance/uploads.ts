import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { HoldfastError } from '../../core/errors.ts'
import type { UploadMemo } from '../../core/provider.ts'
import type { Source } from '../../core/source.ts'
import { type Bench, bytesOf, type Check, content, failure, sourceOf, soon } from './bench.ts'

/**
 * Uploads that go on where they were, for drivers that save state. Which sizes do is the driver's business: the largest of `sizes` is
 * tried, and where nothing is saved, the put has to be whole or nothing all the same.
 */
export function testUploads(check: Check): void {
  check('an interrupted upload leaves nothing, and goes on to the whole object', async bench => {
    const key = `${bench.under}key`
    const bytes = content(bench.largest, 7)
    const saved = await interrupt(bench, key, bytes)
    assert.equal(await bench.head(key), undefined, 'nothing until all of it is there')
    await bench.put(key, bytes, { upload: remembering(saved).memo })
    await holds(bench, key, bytes)
    // Once more with what is over now: from the beginning, or an error that asks for that.
    await restarts(bench, key, bytes, saved)
  })

  check('an upload interrupted again and again still becomes the whole object', async bench => {
    const key = `${bench.under}key`
    const bytes = content(bench.largest, 8)
    let saved: string | undefined
    for (let round = 0; round < 3; round++) {
      const next = await interrupt(bench, key, bytes, saved)
      if (next === undefined) break
      saved = next
    }
    await bench.put(key, bytes, { upload: remembering(saved).memo })
    await holds(bench, key, bytes)
  })

  check('an abandoned upload is gone, abandoning it again is no error', async bench => {
    const { provider, signal, under } = bench
    const key = `${under}key`
    const bytes = content(bench.largest, 9)
    const saved = await interrupt(bench, key, bytes)
    if (saved !== undefined) {
      await provider.abandon(key, saved, signal)
      await provider.abandon(key, saved, signal)
    }
    assert.equal(await bench.head(key), undefined)
    await restarts(bench, key, bytes, saved)
  })

  check('abandoning an upload that was completed leaves its object', async bench => {
    const { provider, signal, under } = bench
    const key = `${under}key`
    const bytes = content(bench.largest, 10)
    const { memo, states } = remembering(undefined)
    await bench.put(key, bytes, { upload: memo })
    for (const state of states) await provider.abandon(key, state, signal)
    await holds(bench, key, bytes)
  })

  check('a state that says nothing to the driver starts the upload again', async bench => {
    for (const [index, saved] of ['', 'of another driver', '{}', 'null', '{"format":99}'].entries()) {
      const key = `${bench.under}${index}`
      const bytes = content(bench.largest, 11)
      await bench.put(key, bytes, { upload: remembering(saved).memo })
      await holds(bench, key, bytes)
    }
  })

  check('a state that cannot be saved stops the upload', async bench => {
    const key = `${bench.under}key`
    const full = new HoldfastError('NO_SPACE', 'the journal is full')
    let asked = false
    const memo: UploadMemo = {
      saved: undefined,
      async save() {
        asked = true
        throw full
      },
    }
    const put = bench.put(key, content(bench.largest, 12), { upload: memo })
    const outcome = await put.then(
      () => undefined,
      (error: unknown) => error,
    )
    assert.equal(outcome, asked ? full : undefined)
    assert.equal(await bench.head(key).then(object => object === undefined), asked)
  })

  check('an upload that waits for its state to be saved can be aborted', async bench => {
    const stop = new AbortController()
    const memo: UploadMemo = {
      saved: undefined,
      save() {
        setTimeout(() => stop.abort(stopped), 20)
        return new Promise(() => {})
      },
    }
    const stopped = new Error('stopped')
    const put = bench.put(`${bench.under}key`, content(bench.largest, 13), { upload: memo, signal: stop.signal })
    const outcome = await soon(
      put.then(
        () => undefined,
        (error: unknown) => error,
      ),
      'a put that waits for save',
      15_000,
    )
    assert.equal(outcome, stop.signal.aborted ? stopped : undefined)
  })
}

/** Puts with a source that breaks once two states were saved, or near its end. Answers the last state saved. */
async function interrupt(bench: Bench, key: string, bytes: Uint8Array, saved?: string): Promise<string | undefined> {
  const { memo, states } = remembering(saved)
  const error = new Error('interrupted')
  const lastChunk = Math.max(0, bytes.byteLength - 65_536)
  const source: Source = sourceOf(bytes, {
    before(at) {
      if (states.length >= 2 || at >= lastChunk) throw error
    },
  })
  const came = await failure(bench.put(key, source, { upload: memo }))
  assert.ok(came === error || came instanceof HoldfastError, String(came))
  return states.at(-1) ?? saved
}

async function restarts(bench: Bench, key: string, bytes: Uint8Array, saved: string | undefined): Promise<void> {
  const put = bench.put(key, bytes, { upload: remembering(saved).memo })
  const error = await put.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (error !== undefined) {
    assert.ok(error instanceof HoldfastError && error.reason === 'UPLOAD_GONE', inspect(error))
    assert.ok(error.retryable)
    await bench.put(key, bytes)
  }
  await holds(bench, key, bytes)
}

function remembering(saved: string | undefined): { memo: UploadMemo; states: string[] } {
  const states: string[] = []
  return {
    states,
    memo: {
      saved,
      async save(state) {
        states.push(state)
      },
    },
  }
}

async function holds(bench: Bench, key: string, bytes: Uint8Array): Promise<void> {
  const found = await bench.provider.get({ key, range: undefined, token: undefined }, bench.signal)
  assert.ok(found && (await bytesOf(found)).equals(bytes))
}
