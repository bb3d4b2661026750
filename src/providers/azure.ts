import type { Capabilities, Provider } from '../core/provider.ts'
import { HoldfastError } from '../core/errors.ts'
import { putBlocks } from './azure/blocks.ts'
import { quietContainer, quietService } from './azure/client.ts'
import { deleteBlob } from './azure/delete.ts'
import { classifyAzure } from './azure/errors.ts'
import { blobFeatures, refuseAzureFeatures } from './azure/features.ts'
import { getBlob } from './azure/get.ts'
import { headBlob } from './azure/head.ts'
import { azureLimits, refuseAzureKey } from './azure/keys.ts'
import { listBlobs } from './azure/list.ts'
import { type AzureOptions, checkAzureOptions, serviceOf } from './azure/options.ts'
import { putWhole } from './azure/put.ts'
import { canSign, signerOf } from './azure/sign.ts'
import { targetOf } from './azure/target.ts'
import { carriedSecrets } from './carried.ts'
import { errorMaker } from './errors.ts'
import { prefixed } from './prefixed.ts'

export type { AzureOptions, AzureTokenCredential } from './azure/options.ts'

const mebibyte = 2 ** 20

/**
 * A container of Azure Blob Storage. Needs `@azure/storage-blob` 12.26 or newer. The token of an object is its ETag, which every write
 * makes anew. Bodies up to `singleShotBytes` are compared with their MD5 by the service before they come to be, larger ones block by
 * block. What is stored with a content encoding is read as it is stored. INVALID where an option breaks a rule.
 */
export function azure(options: AzureOptions): Provider {
  checkAzureOptions(options)
  const { container, prefix = '', blockSize = 8 * mebibyte, singleShotBytes = 256 * mebibyte } = options
  const name = options.name ?? (prefix === '' ? `azure:${container}` : `azure:${container}/${prefix}`)
  const service = serviceOf(options)
  const carried = carriedSecrets()
  const errors = errorMaker(name, carried)
  const target = targetOf(quietContainer(service, container, carried), errors)
  const sign = signerOf(target, service, () => quietService(service, carried))
  const capabilities: Capabilities = {
    createIfAbsent: true,
    replaceIf: true,
    deleteIf: true,
    uniqueTokens: true,
    readIf: true,
    attests: ['md5'],
    sign: canSign(service),
    listsAtOnce: true,
    quirks: {},
  }

  const whole: Provider = {
    name,
    kind: 'azure',
    location: locationOf(target.container.url),
    limits: azureLimits,
    capabilities,
    refuseKey: refuseAzureKey,
    refuseFeatures: features => refuseAzureFeatures(features, name),
    async learn(_remembered, signal) {
      signal.throwIfAborted()
      return capabilities
    },
    put(request, signal) {
      // Of an archived blob the service does not say again whether it compared the whole; that each block was compared is known already.
      const isArchived = blobFeatures(request.features).tier === 'Archive'
      return isArchived || request.source.size > singleShotBytes
        ? putBlocks(target, request, blockSize, signal)
        : putWhole(target, request, signal)
    },
    head: (key, signal) => headBlob(target, key, signal),
    get: (request, signal) => getBlob(target, request, signal),
    delete: (key, token, signal) => deleteBlob(target, key, token, signal),
    list: (request, signal) => listBlobs(target, request, signal),
    sign,
    /**
     * Nothing can be done, and nothing is. Blocks that were not put together vanish by themselves a week after the last of them came;
     * until then they cost their storage. The service drops them earlier only when the blob of that name is written, which is nobody's
     * business here.
     */
    async abandon(_key, _upload, signal) {
      signal.throwIfAborted()
    },
    classify: error => (error instanceof HoldfastError ? error : classifyAzure(errors, error)),
  }
  return prefix === '' ? whole : prefixed(whole, prefix, { name })
}

/** `azure://<host>[/<account>]/<container>`: the same for whoever gets in with whatever. */
function locationOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `azure://${host}${pathname}`
}
