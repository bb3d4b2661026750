import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that reads what it is sent, says that it has it, and does nothing: what is left of the price of a request is the client's. Tells its port. */

const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
  request.resume()
  request.on('end', () => response.writeHead(200, { etag: '"00000000000000000000000000000000"' }).end())
})
// Whoever started it is gone.
process.on('disconnect', () => process.exit(0))
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
