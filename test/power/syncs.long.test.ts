import { expect, test } from 'vitest'
import { isAll } from './all.ts'
import type { Ask } from './ask.ts'
import { cutAtEverySync, perPhase } from './cuts.ts'
import { powerBench } from './disk.ts'

const scenarios = [
  { scenario: 'writes', what: 'put, delete, upload, opening and closing' },
  { scenario: 'used', what: 'put, delete and upload, in a directory whose log is written over' },
  { scenario: 'release', what: 'replication, the second look and release' },
  { scenario: 'provider', what: 'a provider on local disk' },
]

test.for(scenarios)(
  'a power cut at any sync of $what leaves what was acknowledged; what was not, wholly or not at all (D1, P1, I1, I3, I5)',
  async ({ scenario }, context) => {
    const bench = await powerBench(context)
    const began = Date.now()
    // What is no different from the same in a new directory is left to a run by hand.
    const isLikeNew = ({ phase }: Ask) => !isAll && /opening|left open|aborted/.test(phase)
    const isCut = (ask: Ask) => scenario !== 'used' || (ask.phase !== 'using up the log' && !isLikeNew(ask))
    const { asks, images, lost, ledger } = await cutAtEverySync(bench, scenario, { isCut })
    console.log(
      `${scenario}: ${images} images, ${ledger.acknowledged} acknowledged, ${Date.now() - began} ms; syncs: ${perPhase(asks)}`,
    )
    expect(lost).toEqual([])
    expect(images).toBeGreaterThan(20)
  },
)

test('where a sync brings nothing along but what it is asked for (ext4 without a journal), it is the same for put and delete (D1, D3, I1, I3, I5)', async context => {
  const bench = await powerBench(context, 'ext4 without a journal')
  const { images, lost } = await cutAtEverySync(bench, 'writes', {
    isCut: ({ phase }) => /^(put|delete|eight)/.test(phase),
  })
  console.log(`${images} images without a journal`)
  expect(lost).toEqual([])
  expect(images).toBeGreaterThan(15)
})

const isBytes = ({ call, path }: Ask) => call === 'fdatasync' && path.includes('/drafts/')
const isNames = ({ path }: Ask) => path.endsWith('/bodies')
const isLog = ({ path }: Ask) => path.endsWith('-wal')

test.for([
  { what: 'the bytes of bodies', scenario: 'writes', is: isBytes },
  { what: 'the names of bodies', scenario: 'writes', is: isNames, on: 'ext4 without a journal' as const },
  { what: 'the log of the journal', scenario: 'used', is: isLog },
  { what: 'the bytes of objects', scenario: 'provider', is: ({ call }: Ask) => call === 'fdatasync' },
  { what: 'the names of objects', scenario: 'provider', is: ({ call }: Ask) => call === 'fsync' },
])('a disk that only says that it synced $what is seen to lose them', async ({ scenario, is, on }, context) => {
  const bench = await powerBench(context, on)
  const { images, lost } = await cutAtEverySync(bench, scenario, {
    answer: ask => (is(ask) ? 'nothing' : 'go'),
    isCut: ({ phase }) => phase.startsWith('delete') || phase.endsWith('at once'),
  })
  console.log(`${lost.length} losses in ${images} images, the first: ${lost[0]}`)
  expect(lost.length).toBeGreaterThan(0)
})
