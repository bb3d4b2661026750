import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../src/testing/local/cloud.ts'
import { startLocalS3 } from '../src/testing/local/s3/index.ts'
import { findChromium, startBrowser } from './examples/browser.ts'
import { programsOf, type Serving } from './examples/programs.ts'
import { bodyFor } from './kill/body.ts'
import { bucket, providersOf, type Started, startClouds } from './support/clouds.ts'
import { bodyAt, eventually } from './support/store.ts'

const chromium = findChromium()

describe('uploads from a real browser', {
  skip: chromium === undefined,
  meta: { reason: 'no Chromium is installed here' },
}, () => {
  let started: Started
  let root: string
  let browser: Browser
  let server: Serving
  let restarted: LocalCloud | undefined
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'holdfast-browser-'))
    started = await startClouds(root)
    browser = await startBrowser(chromium as string)
    server = await programsOf(started, root).serve('browser-upload.ts')
  })
  afterAll(async () => {
    await browser.close()
    await server.end()
    await restarted?.stop()
    await started[Symbol.asyncDispose]()
    await rm(root, { recursive: true, force: true })
  })

  /** Chooses a file on the page, and answers what the page says when it is done, with the origins that were asked to take it. */
  async function upload(name: string, body: Buffer): Promise<{ said: string[]; key: string; sentTo: string[] }> {
    const file = join(root, name)
    await writeFile(file, body)
    const page = await browser.newPage()
    const sentTo: string[] = []
    page.on('request', request => {
      if (request.method() === 'PUT') sentTo.push(new URL(request.url()).origin)
    })
    await page.goto(server.url)
    await page.locator('input').setInputFiles(file)
    await page.getByText(/is safe|could not be/).waitFor({ timeout: 15_000 })
    const said = await page.locator('li').allTextContents()
    await page.close()
    return { said, sentTo, key: /(uploads\/\S+),/.exec(said.at(-1) ?? '')?.[1] ?? '' }
  }

  test('a photo goes straight to the primary, is adopted, and is mirrored', async () => {
    // A service that is not Amazon's own is asked first what it can do. Until it has answered, it cannot promise to create only.
    const early = bodyFor('early', 1_000)
    await eventually(async () => (await upload('early.jpg', early)).sentTo[0] === started.s3.endpoint)
    await started.s3.requests({ reset: true })

    const body = bodyFor('browser', 300_000)
    const { said, sentTo, key } = await upload('cat.jpg', body)
    expect(said).toEqual([expect.stringMatching(/^cat\.jpg is safe: uploads\/\S+, 300000 bytes$/)])
    expect(sentTo).toEqual([started.s3.endpoint])
    // The browser asked for leave first, as it does where page and bucket are of different origins.
    const preflight = (await started.s3.requests()).find(({ method }) => method === 'OPTIONS')
    expect(preflight?.headers['access-control-request-headers']).toMatch(/content-type.*if-none-match/)
    expect(preflight?.headers['origin']).toBe(server.url)
    for (const provider of providersOf(started.clouds)) {
      await eventually(async () => (await bodyAt(provider, key))?.equals(body))
      const head = await provider.head(key, AbortSignal.timeout(5_000))
      expect(head?.headers.contentType).toBe('image/jpeg')
      expect(head?.metadata['holdfast']).toBeDefined()
    }
  })

  test('while the primary is down the next provider takes it, and the primary gets it when it is back', async () => {
    const body = bodyFor('browser, primary down', 400_000)
    const { endpoint, port, credentials } = started.s3
    await started.s3.stop()
    const { said, sentTo, key } = await upload('dog.jpg', body)
    expect(said.at(-1)).toMatch(/^dog\.jpg is safe: uploads\/\S+, 400000 bytes$/)
    expect(said.at(0)).toMatch(/cannot be reached$/)
    expect(sentTo).toEqual([endpoint, started.gcs.endpoint])
    const [primary, secondary] = providersOf(started.clouds)
    expect((await bodyAt(secondary, key))?.equals(body)).toBe(true)

    // By now the store knows: the next one goes to the healthy provider at once.
    await eventually(async () => (await upload('bird.jpg', body)).sentTo.length === 1, 20_000)

    const again = await startLocalS3({
      buckets: [bucket],
      process: 'own',
      directory: `${root}/s3`,
      port,
      credentials,
    })
    restarted = again
    expect(again.endpoint).toBe(endpoint)
    await eventually(async () => (await bodyAt(primary, key))?.equals(body), 25_000)
    expect((await primary.head(key, AbortSignal.timeout(5_000)))?.metadata['holdfast']).toBeDefined()
  }, 90_000)
})
