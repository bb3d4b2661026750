import { BlobServiceClient } from '@azure/storage-blob'
import { afterAll, beforeAll, test } from 'vitest'
import { azure } from '../../src/providers/azure.ts'
import { testProvider } from '../../src/testing/conformance.ts'
import { type Azurite, startAzurite } from '../servers/azurite.ts'

let azurite: Azurite
const mebibyte = 2 ** 20

beforeAll(async () => {
  azurite = await startAzurite()
  const service = BlobServiceClient.fromConnectionString(azurite.connectionString)
  await service.getContainerClient('plain').create()
})

afterAll(async () => {
  await azurite?.stop()
})

testProvider({
  test,
  name: 'azure on azurite',
  sizes: [200_000, 200_001, mebibyte + 200_000, 3 * mebibyte + 1],
  create: async () => ({
    provider: azure({
      container: 'plain',
      connectionString: azurite.connectionString,
      singleShotBytes: 200_000,
      blockSize: mebibyte,
    }),
  }),
})
