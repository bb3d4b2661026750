import { testStores } from './matrix.ts'

testStores('s3')
