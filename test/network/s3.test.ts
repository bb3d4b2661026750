import { testCalls } from './matrix.ts'

testCalls('s3')
