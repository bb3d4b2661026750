import { everyNth } from './every.ts'

everyNth('goes on')
