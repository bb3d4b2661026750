import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { fileLock } from '../../src/journal/locks.ts'
import type { Answer, WorkerOptions } from '../../src/journal/protocol.ts'
import { copyJournal } from '../disk/journal-files.ts'
import type { Hindered } from './hindered.ts'
import { type Scene, scene, write } from './scene.ts'

/** The writer of a journal as it is, stopped after its first try to have the directory alone until it is told to go on. */
function stoppedOpener({ path }: Scene, directory: string) {
  const goOn = new Int32Array(new SharedArrayBuffer(4))
  const workerData: WorkerOptions & Hindered = { path, directory, writer: '0123456789abcdef', goOn }
  const execArgv = ['--import', new URL('hindered.ts', import.meta.url).href]
  const worker = new Worker(new URL('../../src/journal/worker.ts', import.meta.url), { workerData, execArgv })
  onTestFinished(async () => void (await worker.terminate()))
  const heard = <T>() => new Promise<T>(resolve => worker.once('message', resolve))
  const ask = async (op: 'open' | 'close') => {
    worker.postMessage([{ id: 1, op, args: [] }])
    return await heard<readonly Answer[] | 'hindered'>()
  }
  return {
    ask,
    async goOn() {
      const answers = heard<readonly Answer[]>()
      Atomics.store(goOn, 0, 1)
      Atomics.notify(goOn, 0)
      return await answers
    },
  }
}

test('of two that open a directory at the same moment and hinder each other, none leaves the look at the log to the other (J2, I8)', async () => {
  await using at = await scene()
  const [whole, lost] = ['whole', 'lost'].map(name => join(at.path, '..', name)) as [string, string]
  for (const path of [whole, lost]) mkdirSync(path)
  await (await at.journal()).close()
  // As a kill leaves it, but without its log, which has what was promised last.
  const { directory, accept, close } = await at.journal()
  await accept(write('k'))
  copyJournal(at.path, lost)
  rmSync(join(lost, 'journal.sqlite-wal'))
  await close()
  copyJournal(at.path, whole)
  copyJournal(lost, at.path)

  // The other tries at the same moment, has failed, and does not hold it any more.
  const other = fileLock(join(at.path, 'members.lock'))
  expect(other.share()).toBe(true)
  const opener = stoppedOpener(at, directory)
  expect(await opener.ask('open')).toBe('hindered')
  other.release()
  expect(await opener.goOn()).toMatchObject([
    { ok: false, code: 'CORRUPT', details: { field: 'journal', rule: 'missing' } },
  ])
  await opener.ask('close')
  copyJournal(whole, at.path)
})
