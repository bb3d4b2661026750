import { localServer, testWrapped } from './s3-suite.ts'

testWrapped(localServer())
