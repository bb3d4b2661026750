import { testCalls } from './matrix.ts'

testCalls('gcs')
