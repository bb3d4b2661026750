import { invalid, shown } from '../../../core/errors.ts'
import type { Answer } from '../answer.ts'
import { emptyBody } from '../bodies.ts'
import type { Change } from '../store.ts'
import { bucketOf, header, type Call, type ObjectFacts, type State } from './call.ts'
import { checkDelete } from './conditions.ts'
import { ownerXml } from './listing.ts'
import { xmlHeaders } from './objects.ts'
import { hasDigest, receiveDocument } from './payload.ts'
import { Refusal } from './refusal.ts'
import { answerXml, childText, element, parseXml, text, type XmlElement } from './xml.ts'

const mostDeletes = 1_000
const documentLimit = 4 * 1024 ** 2

/** A bucket that is there already is left as it is. INVALID when S3 has no such names. */
export function ensureBucket(state: State, name: string): void {
  if (!isBucketName(name)) throw invalid('buckets', 'name', `${shown(name)} is no name for a bucket`)
  if (state.buckets.get(name) === undefined) state.store.commit([newBucket(state, name, 'us-east-1')])
}

function newBucket(state: State, name: string, region: string, ownership?: string): Change {
  const facts = { createdAt: Date.now(), region, ...(ownership === undefined ? {} : { ownership }) }
  return state.buckets.put(name, { facts, body: emptyBody })
}

function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !/^\d+(\.\d+){3}$/.test(name)
}

export async function listBuckets(call: Call): Promise<Answer> {
  const { buckets } = call.state
  const all = [...buckets.keys({ from: '' })].map(name =>
    element(
      'Bucket',
      text('Name', name),
      text('CreationDate', new Date(buckets.get(name)?.facts.createdAt ?? 0).toISOString()),
    ),
  )
  return {
    status: 200,
    headers: xmlHeaders,
    body: answerXml('ListAllMyBucketsResult', ownerXml, element('Buckets', ...all)),
  }
}

export async function createBucket(call: Call): Promise<Answer> {
  const { state, signed } = call
  const name = call.route.bucket ?? ''
  const document = await receiveDocument(call, documentLimit)
  if (document.byteLength > 0 && parseXml(document).name !== 'CreateBucketConfiguration')
    throw new Refusal('MalformedXML')
  if (!isBucketName(name)) throw new Refusal('InvalidBucketName', { BucketName: name })
  const there = state.buckets.get(name) !== undefined
  // The oldest region has always let its owner create a bucket again.
  if (there && signed.region !== 'us-east-1') throw new Refusal('BucketAlreadyOwnedByYou', { BucketName: name })
  if (!there) state.store.commit([newBucket(state, name, signed.region, ownershipOf(call))])
  return { status: 200, headers: { location: `/${name}` } }
}

/** Undefined where its owner owns all that is in it, which has been the default since April 2023. */
function ownershipOf(call: Call): string | undefined {
  const asked = header(call, 'x-amz-object-ownership') ?? 'BucketOwnerEnforced'
  if (!['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'].includes(asked))
    throw new Refusal(
      'InvalidArgument',
      { ArgumentName: 'x-amz-object-ownership', ArgumentValue: asked },
      `Invalid x-amz-object-ownership header: ${asked}`,
    )
  return asked === 'BucketOwnerEnforced' ? undefined : asked
}

export async function headBucket(call: Call): Promise<Answer> {
  const region = call.state.buckets.get(bucketOf(call))?.facts.region ?? ''
  return { status: 200, headers: { 'x-amz-bucket-region': region, 'content-type': 'application/xml' } }
}

export async function getBucketLocation(call: Call): Promise<Answer> {
  const region = call.state.buckets.get(bucketOf(call))?.facts.region ?? ''
  return {
    status: 200,
    headers: xmlHeaders,
    body: answerXml('LocationConstraint', region === 'us-east-1' ? '' : region),
  }
}

/** Unfinished uploads do not keep a bucket; they go with it. */
export async function deleteBucket(call: Call): Promise<Answer> {
  const { state } = call
  const name = bucketOf(call)
  if (state.objects(name).size > 0) throw new Refusal('BucketNotEmpty', { BucketName: name })
  const uploads = state.uploads(name)
  const changes: Change[] = [state.buckets.remove(name)]
  for (const id of uploads.keys({ from: '' })) {
    changes.push(uploads.remove(id))
    const parts = state.parts(id)
    for (const part of parts.keys({ from: '' })) changes.push(parts.remove(part))
  }
  state.store.commit(changes)
  return { status: 204, headers: {} }
}

/** Of many keys at once, each on its own: some may be refused. */
export async function deleteObjects(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  if (!hasDigest(call)) throw new Refusal('InvalidRequest', {}, 'Missing required header for this request: Content-MD5')
  const root = parseXml(await receiveDocument(call, documentLimit))
  const quiet = childText(root, 'Quiet')?.trim() === 'true'
  const wanted = root.children.filter(({ name }) => name === 'Object')
  if (root.name !== 'Delete' || wanted.length === 0 || wanted.length > mostDeletes) throw new Refusal('MalformedXML')
  bucketOf(call)
  const results = wanted.map(each => deleteOne(call, bucket, each, quiet))
  return { status: 200, headers: xmlHeaders, body: answerXml('DeleteResult', ...results) }
}

function deleteOne(call: Call, bucket: string, wanted: XmlElement, quiet: boolean): string {
  const objects = call.state.objects(bucket)
  const key = childText(wanted, 'Key')
  if (key === undefined || key === '') throw new Refusal('MalformedXML')
  try {
    const entry = objects.get(key)
    checkWanted(wanted, entry?.facts)
    if (entry !== undefined) call.state.store.commit([objects.remove(key)])
    return quiet ? '' : element('Deleted', text('Key', key))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return element('Error', text('Key', key), text('Code', error.code), text('Message', error.message))
  }
}

function checkWanted(wanted: XmlElement, current: ObjectFacts | undefined): void {
  const version = childText(wanted, 'VersionId')
  if (version !== undefined && version !== 'null') throw new Refusal('NoSuchVersion')
  if (childText(wanted, 'Size') !== undefined || childText(wanted, 'LastModifiedTime') !== undefined)
    throw new Refusal('NotImplemented')
  checkDelete(childText(wanted, 'ETag'), current)
}
