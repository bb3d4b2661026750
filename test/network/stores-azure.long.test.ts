import { testStores } from './matrix.ts'

testStores('azure')
