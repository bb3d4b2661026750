import { BlobServiceClient } from '@azure/storage-blob'
import { afterAll, beforeAll, test } from 'vitest'
import { type AzureOptions, azure } from '../../src/providers/azure.ts'
import { type ConformanceOptions, testProvider } from '../../src/testing/conformance.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Azurite, startAzurite } from '../servers/azurite.ts'

let azurite: Azurite
let service: BlobServiceClient
const mebibyte = 2 ** 20

beforeAll(async () => {
  azurite = await startAzurite()
  service = BlobServiceClient.fromConnectionString(azurite.connectionString)
  await service.getContainerClient('conformance').create()
})

afterAll(async () => {
  await azurite?.stop()
})

/** Both ways of putting, and several blocks, without large bodies. */
function options(more: Partial<AzureOptions> = {}): AzureOptions {
  return { container: 'conformance', singleShotBytes: 200_000, blockSize: mebibyte, ...more }
}

function key(): Pick<AzureOptions, 'accountName' | 'accountKey' | 'endpoint'> {
  const { accountName, accountKey, endpoint } = azurite
  return { accountName, accountKey, endpoint }
}

const common: Pick<ConformanceOptions, 'test' | 'sizes'> = {
  test,
  sizes: [65_536, 65_537, 200_000, 200_001, mebibyte + 1, 3 * mebibyte + 1],
}

testProvider({
  ...common,
  name: 'azure',
  create: async () => ({ provider: azure(options(key())) }),
  broken: {
    gone: async () => ({ provider: azure(options({ ...key(), container: 'not-there' })) }),
    denied: async () => ({ provider: azure(options({ ...key(), accountKey: 'd3Jvbmc=' })) }),
    unreachable: async () => ({
      provider: azure(options({ ...key(), endpoint: 'http://127.0.0.1:1/devstoreaccount1' })),
    }),
  },
})

testProvider({
  ...common,
  name: "azure with the caller's own client, below a prefix",
  create: async () => ({ provider: azure(options({ client: service, prefix: 'some/place/' })) }),
})

testProvider({
  ...common,
  name: 'azure behind faulty',
  create: async () => ({
    provider: faulty(azure(options({ connectionString: azurite.connectionString })), {}),
  }),
})
