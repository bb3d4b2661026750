/** For those who write a provider, or rehearse an outage. */
export { type ConformanceOptions, type Created, testProvider } from './conformance.ts'
