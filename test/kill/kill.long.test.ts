// The same tests with the number of kills that a change has to survive.
process.env['HOLDFAST_KILLS'] ??= '60'
await import('./kill.test.ts')
await import('./uploads.test.ts')
