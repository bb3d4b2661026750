import { describe, expect, test } from 'vitest'
import { nodeDisk } from '../../src/stage/disk.ts'
import { bytes, observed } from './bodies.ts'
import { intercepted } from './disks.ts'
import { again, openScene } from './scene.ts'

describe('memory', () => {
  test('stays bounded over a body of 300 MB (I31)', { timeout: 120_000 }, async () => {
    const { stage } = await openScene()
    const chunk = bytes(1_000_000)
    const before = process.memoryUsage()
    let peak = { rss: 0, arrayBuffers: 0 }
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 300; i++) {
        const { rss, arrayBuffers } = process.memoryUsage()
        peak = { rss: Math.max(peak.rss, rss), arrayBuffers: Math.max(peak.arrayBuffers, arrayBuffers) }
        yield chunk
      }
    }
    const draft = await stage.receive(body())
    expect(draft.size).toBe(300_000_000)
    await draft.discard()
    expect(peak.arrayBuffers - before.arrayBuffers).toBeLessThan(2_000_000)
    expect(peak.rss - before.rss).toBeLessThan(64_000_000)
  })

  test('is not filled by a fast body on a slow disk (D13, I31)', async () => {
    const { path } = await openScene()
    const scene = await openScene({ path })
    const held = Promise.withResolvers<undefined>()
    const slow = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'file.write') await held.promise
        return run()
      }),
    )
    const { seen, body } = observed(async index => (index < 100 ? bytes(100_000) : undefined))
    const receiving = slow.receive(body)
    await new Promise(resolve => setTimeout(resolve, 200))
    expect(seen.pulled * 100_000).toBeLessThan(800_000)
    held.resolve(undefined)
    await (await receiving).discard()
    expect(seen.pulled).toBe(101)
  })

  test('is hardly taken by many bodies that hardly arrive', async () => {
    const { stage } = await openScene()
    const abort = new AbortController()
    const before = process.memoryUsage().arrayBuffers
    let started = 0
    const all = Array.from({ length: 1000 }, () => {
      const { body } = observed(index => {
        started += index
        return index === 0 ? Promise.resolve(Buffer.from('slow')) : new Promise(() => {})
      })
      return stage.receive(body, { signal: abort.signal }).catch((error: unknown) => error)
    })
    while (started < 1000) await new Promise(resolve => setTimeout(resolve, 5))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000)
    abort.abort()
    await Promise.all(all)
    expect(stage.reservedBytes).toBe(0)
  })
})
