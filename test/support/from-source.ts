import { registerHooks } from 'node:module'

/** `node --import` this: programs that import `holdfast` as users do run on the sources, without a build. */
const source = (path: string) => new URL(`../../src/${path}.ts`, import.meta.url).href
const entries: Readonly<Record<string, string>> = {
  holdfast: source('index'),
  'holdfast/testing': source('testing/index'),
  'holdfast/s3': source('providers/s3'),
  'holdfast/gcs': source('providers/gcs'),
  'holdfast/azure': source('providers/azure'),
  'holdfast/fs': source('providers/fs'),
  'holdfast/s3-client': source('s3-client/index'),
  'holdfast/memory': source('providers/memory'),
}

registerHooks({
  resolve(specifier, context, next) {
    const url = entries[specifier]
    return url === undefined ? next(specifier, context) : { url, shortCircuit: true, format: 'module-typescript' }
  },
})
