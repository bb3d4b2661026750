import { localServer, testBriefly } from './s3-suite.ts'

testBriefly(localServer(), { transport: 'sdk' })
