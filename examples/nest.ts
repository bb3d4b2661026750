/**
 * A NestJS app whose S3 client is a wrapped one: `PUT /photos/<key>`, `GET /photos/<key>`. Decorators are called as functions here, because
 * this file runs without a compiler; with one, `@Module(…)`, `@Controller('photos')`, `@Inject(S3Client)` say the same.
 */
import type { Readable } from 'node:stream'
import { GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import {
  Controller,
  type DynamicModule,
  Get,
  Headers,
  Inject,
  NotFoundException,
  type OnApplicationShutdown,
  Param,
  Put,
  Req,
  StreamableFile,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import type { Holdfast } from 'holdfast'
import { withHoldfast } from 'holdfast/s3-client'
import { bucket, openClient, openStore } from './store.ts'

const STORE = Symbol('Holdfast')

/** Opens the store with the app, closes it with the app, and gives everybody who asks for an `S3Client` the wrapped one. */
class HoldfastModule implements OnApplicationShutdown {
  readonly #store: Holdfast

  constructor(store: Holdfast) {
    this.#store = store
  }

  static forRoot(open: () => Promise<Holdfast>, client: () => S3Client): DynamicModule {
    return {
      module: HoldfastModule,
      global: true,
      providers: [
        { provide: STORE, useFactory: open },
        {
          provide: S3Client,
          inject: [STORE],
          useFactory: (store: Holdfast) => withHoldfast(client(), { [bucket]: store }),
        },
      ],
      exports: [STORE, S3Client],
    }
  }

  /** Comes after the last request was answered. */
  onApplicationShutdown(): Promise<void> {
    return this.#store.close({ drainMs: 10_000 })
  }
}
Inject(STORE)(HoldfastModule, undefined, 0)

class PhotosController {
  readonly #s3: S3Client

  constructor(s3: S3Client) {
    this.#s3 = s3
  }

  async put(key: string, type: string, length: string | undefined, request: Readable): Promise<{ etag?: string }> {
    const { ETag } = await this.#s3.send(
      new PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: request,
        ContentType: type,
        ...(length === undefined ? {} : { ContentLength: Number(length) }),
      }),
    )
    return ETag === undefined ? {} : { etag: ETag }
  }

  async get(key: string): Promise<StreamableFile> {
    try {
      const found = await this.#s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
      return new StreamableFile(found.Body as Readable, {
        type: found.ContentType ?? 'application/octet-stream',
        ...(found.ContentLength === undefined ? {} : { length: found.ContentLength }),
      })
    } catch (error) {
      throw error instanceof NoSuchKey ? new NotFoundException() : error
    }
  }
}
Controller('photos')(PhotosController)
Inject(S3Client)(PhotosController, undefined, 0)
decorate(Put(':key'), 'put', Param('key'), Headers('content-type'), Headers('content-length'), Req())
decorate(Get(':key'), 'get', Param('key'))

function decorate(route: MethodDecorator, method: 'put' | 'get', ...parameters: readonly ParameterDecorator[]): void {
  const prototype = PhotosController.prototype
  route(prototype, method, Object.getOwnPropertyDescriptor(prototype, method) as PropertyDescriptor)
  for (const [index, parameter] of parameters.entries()) parameter(prototype, method, index)
}

const app = await NestFactory.create(
  { imports: [HoldfastModule.forRoot(openStore, openClient)], controllers: [PhotosController] },
  // The body of a photo is streamed into the store; nothing may read it before.
  { logger: ['error', 'warn'], bodyParser: false },
)
app.enableShutdownHooks(['SIGTERM'], { useProcessExit: true })
await app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1')
console.log(`listening on ${new URL(await app.getUrl()).port}`)
