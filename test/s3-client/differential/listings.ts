import { type Call, keys, maybe, type World } from './world.ts'

const limits = [0, 1, 1, 2, 3, 3, 1_000, 5_000, -1] as const

function question({ chance, bucket: Bucket }: World): Record<string, unknown> {
  return {
    Bucket,
    ...maybe(chance, {
      Prefix: [40, () => chance.one(['a', 'a/', 'dir/', 'dir/sub/', 'ä', 'none', ''])],
      Delimiter: [40, () => chance.one(['/', '/', '/sub', 'b', ''])],
      EncodingType: [30, () => chance.one(['url', 'url', 'url', 'utf'])],
    }),
  }
}

export function listObjectsV2(world: World): Call {
  const { chance, tokens } = world
  const known = tokens[chance.below(tokens.length)]
  if (known !== undefined && chance.percent(50)) {
    return {
      command: 'ListObjectsV2',
      input: side => ({ ...known.question, ContinuationToken: known.token[side] }),
      learn: learnToken(world, known.question),
    }
  }
  const input = {
    ...question(world),
    ...maybe(chance, {
      StartAfter: [25, () => chance.one([...keys, 'a/b/', 'e'])],
      MaxKeys: [60, () => chance.one(limits)],
      FetchOwner: [5, () => false],
      ContinuationToken: [2, () => 'not one of yours'],
    }),
  }
  return { command: 'ListObjectsV2', input: () => input, learn: learnToken(world, input) }
}

function learnToken(world: World, asked: Readonly<Record<string, unknown>>): NonNullable<Call['learn']> {
  return ({ plain, wrapped }) => {
    const [a, b] = [plain['NextContinuationToken'], wrapped['NextContinuationToken']]
    if (typeof a === 'string' && typeof b === 'string')
      world.tokens.push({ question: asked, token: { plain: a, wrapped: b } })
    if (world.tokens.length > 6) world.tokens.shift()
  }
}

export function listObjects(world: World): Call {
  const { chance } = world
  const input = {
    ...question(world),
    ...maybe(chance, {
      Marker: [35, () => chance.one([...keys, 'a/b/', 'dir/sub/', 'e'])],
      MaxKeys: [60, () => chance.one(limits)],
    }),
  }
  return { command: 'ListObjects', input: () => input }
}

export function listMultipartUploads(world: World): Call {
  const { chance, uploads } = world
  const known = uploads[chance.below(uploads.length)]
  const rest = maybe(chance, { MaxUploads: [50, () => chance.one(limits)], KeyMarker: [30, () => known?.key ?? 'a'] })
  const withId = 'KeyMarker' in rest && chance.percent(60)
  const asked = question(world)
  return {
    command: 'ListMultipartUploads',
    input: side => ({ ...asked, ...rest, ...(withId ? { UploadIdMarker: known?.id[side] ?? 'none' } : {}) }),
  }
}
