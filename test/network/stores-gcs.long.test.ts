import { testStores } from './matrix.ts'

testStores('gcs')
