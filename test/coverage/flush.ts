import { takeCoverage } from 'node:v8'
import { afterAll } from 'vitest'

// A process that runs tests is ended by its parent, and writes no report of itself then.
afterAll(() => takeCoverage())

// Nor do those that tests kill.
const preload = `--import=${new URL('child.ts', import.meta.url).href}`
if (process.env['NODE_OPTIONS']?.includes(preload) !== true)
  process.env['NODE_OPTIONS'] = `${process.env['NODE_OPTIONS'] ?? ''} ${preload}`
