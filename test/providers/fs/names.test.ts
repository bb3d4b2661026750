import { array, assert, constantFrom, oneof, property, string, uniqueArray } from 'fast-check'
import { expect, test } from 'vitest'
import { decodeSegment, encodeSegment, fileOf, hashOf } from '../../../src/providers/fs/names.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const nasty = constantFrom(
  ...Array.from('aAbBzZ09 -_.,+=@()[]{}#$%&\'^`;!~<>:"|?*\\\u0000\u001f\u007f\u0085é\u0301ßİıK\uffff\u{1f600}'),
  '!41',
  '!H',
  '!f',
  '!_',
  '%2e',
  'con',
  'nul.txt',
)
const segments = oneof(
  array(nasty, { maxLength: 12 }).map(parts => parts.join('').replaceAll('/', '')),
  array(nasty, { minLength: 60, maxLength: 300 }).map(parts => parts.join('').replaceAll('/', '')),
  string({ unit: 'binary', maxLength: 40 }).map(text => text.toWellFormed().replaceAll('/', '')),
)

test(`names come back as the segments they stand for (seed ${seed}; F3, I35)`, () => {
  assert(
    property(segments, segment => {
      const decoded = decodeSegment(encodeSegment(segment))
      expect(decoded).toEqual(decoded !== undefined && 'hash' in decoded ? { hash: hashOf(segment) } : { segment })
    }),
    { seed, numRuns: 3000 },
  )
})

test(`names are safe everywhere, and differ where a file system folds case or normalises (seed ${seed}; F3, I35)`, () => {
  assert(
    property(uniqueArray(segments, { minLength: 2, maxLength: 20 }), all => {
      const names = all.map(segment => fileOf(segment).file)
      for (const name of [...names, ...all.map(encodeSegment)]) {
        expect(name).toMatch(/^[ -~]+$/)
        expect(name).not.toMatch(/[<>:"/\\|?*~]|[. ]$|^\.{1,2}$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i)
        expect(name.length).toBeLessThanOrEqual(255)
      }
      expect(new Set(names.map(name => name.toLowerCase().normalize('NFC'))).size).toBe(all.length)
    }),
    { seed, numRuns: 1000 },
  )
})

test('keys become readable paths where they are plain', () => {
  expect(fileOf('photos/2026/cat (1).jpg')).toEqual({ directories: ['photos', '2026'], file: 'cat (1).jpg!f' })
  expect(fileOf('a')).toEqual({ directories: [], file: 'a!f' })
  expect(fileOf('a/')).toEqual({ directories: ['a'], file: '!_!f' })
  expect(fileOf('/a//b')).toEqual({ directories: ['!_', 'a', '!_'], file: 'b!f' })
  expect(fileOf('../../etc/passwd')).toEqual({ directories: ['.!2E', '.!2E', 'etc'], file: 'passwd!f' })
  expect(fileOf('./Über')).toEqual({ directories: ['!2E'], file: '!C3!9Cber!f' })
  expect(fileOf('.holdfast/identity')).toEqual({ directories: ['.holdfast'], file: 'identity!f' })
  expect(fileOf('con/Nul.txt/nul.txt/nul .x')).toEqual({
    directories: ['!63on', '!4Eul.txt', '!6Eul.txt'],
    file: '!6Eul .x!f',
  })
  expect(fileOf('x'.repeat(201)).file).toBe(`${'x'.repeat(120)}!H${hashOf('x'.repeat(201))}!f`)
})

test('what is no name of ours stands for nothing', () => {
  for (const name of [
    'A',
    'a!',
    'a!4',
    'a!4z',
    'a!61',
    '!4a',
    'ü',
    'a.',
    'con',
    '!drafts',
    '!lock',
    'a!f',
    'a~1',
    '',
  ]) {
    expect(decodeSegment(name), name).toBeUndefined()
  }
})
