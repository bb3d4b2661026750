import { everyNth } from './every.ts'

everyNth('dropped')
