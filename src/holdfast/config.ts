import type { HoldfastOptions } from './options.ts'

/** What a `holdfast.config.ts` exports by default: the options of the store, or what makes them. */
export type HoldfastConfig = HoldfastOptions | (() => HoldfastOptions | Promise<HoldfastOptions>)

/** Gives back what it gets, typed: so that an editor knows the options in a config file. Checks nothing; opening the store does. */
export function defineConfig<Config extends HoldfastConfig>(config: Config): Config {
  return config
}
