import { takeCoverage } from 'node:v8'
import { afterAll } from 'vitest'

// A process that runs tests is ended by its parent, and writes no report of itself then.
afterAll(() => takeCoverage())
