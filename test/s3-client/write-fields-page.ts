import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../house/sources.ts'
import { fieldsPage, pagePath } from './fields-page.ts'

// node test/s3-client/write-fields-page.ts

writeFileSync(join(root, pagePath), fieldsPage())
