import { testCalls } from './matrix.ts'

testCalls('azure')
