import { Refusal } from './refusal.ts'

const mostTags = 10
const keyCharacters = 128
const valueCharacters = 256
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-managing.html */
const characters = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u

/** The tags of an `x-amz-tagging` header, as S3 limits them. */
export function tagsOf(tagging: string): readonly (readonly [key: string, value: string])[] {
  const header = { ArgumentName: 'x-amz-tagging', ArgumentValue: tagging }
  const tags = tagging
    .split('&')
    .filter(each => each !== '')
    .map(each => {
      const [key = '', ...value] = each.split('=')
      return [decoded(key, header), decoded(value.join('='), header)] as const
    })
  if (new Set(tags.map(([key]) => key)).size < tags.length)
    throw new Refusal(
      'InvalidArgument',
      header,
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
    )
  if (tags.length > mostTags) throw new Refusal('BadRequest', {}, `Object tags cannot be greater than ${mostTags}`)
  for (const [key, value] of tags) {
    if (key === '' || key.length > keyCharacters || !characters.test(key))
      throw new Refusal('InvalidTag', { TagKey: key }, 'The TagKey you have provided is invalid')
    if (value.length > valueCharacters || !characters.test(value))
      throw new Refusal('InvalidTag', { TagKey: key, TagValue: value }, 'The TagValue you have provided is invalid')
  }
  return tags
}

function decoded(part: string, header: Readonly<Record<string, string>>): string {
  try {
    return decodeURIComponent(part.replaceAll('+', ' '))
  } catch {
    throw new Refusal(
      'InvalidArgument',
      header,
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded.",
    )
  }
}
