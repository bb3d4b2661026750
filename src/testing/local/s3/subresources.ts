import type { Answer } from '../answer.ts'
import { bucketOf, keyOf, type Call, type ObjectFacts, type Pairs } from './call.ts'
import { checkVersion } from './conditions.ts'
import { ownerXml } from './listing.ts'
import { xmlHeaders } from './objects.ts'
import { Refusal } from './refusal.ts'
import { tagsOf } from './tags.ts'
import { answerXml, element, text } from './xml.ts'

// What is kept with an object and not told by GET and HEAD: it is asked for apart, and set here only with the object.

export async function getObjectTagging(call: Call): Promise<Answer> {
  const tags = tagsOf(factsOf(call).tagging).map(([key, value]) =>
    element('Tag', text('Key', key), text('Value', value)),
  )
  return { status: 200, headers: xmlHeaders, body: answerXml('Tagging', element('TagSet', ...tags)) }
}

export async function getObjectAcl(call: Call): Promise<Answer> {
  const grants = grantsOf(factsOf(call).access ?? [])
  return {
    status: 200,
    headers: xmlHeaders,
    body: answerXml('AccessControlPolicy', ownerXml, element('AccessControlList', ...grants)),
  }
}

function factsOf(call: Call): ObjectFacts {
  const bucket = bucketOf(call)
  const key = keyOf(call)
  checkVersion(call)
  const entry = call.state.objects(bucket).get(key)
  if (entry === undefined) throw new Refusal('NoSuchKey', { Key: key })
  return entry.facts
}

const everybody = 'http://acs.amazonaws.com/groups/global/AllUsers'
const everyUser = 'http://acs.amazonaws.com/groups/global/AuthenticatedUsers'

/** What the canned lists give to whom, besides all to the owner: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html */
const canned: Readonly<Record<string, readonly (readonly [group: string, right: string])[]>> = {
  'public-read': [[everybody, 'READ']],
  'public-read-write': [
    [everybody, 'READ'],
    [everybody, 'WRITE'],
  ],
  'authenticated-read': [[everyUser, 'READ']],
}

function grantsOf(access: Pairs): string[] {
  const lists = access.filter(([name]) => name === 'x-amz-acl')
  if (lists.length === access.length) {
    const groups = lists.flatMap(([, value]) => canned[value] ?? [])
    return [ownerGrant, ...groups.map(([group, right]) => grant('Group', text('URI', group), right))]
  }
  return access.flatMap(([name, value]) => {
    const right = name.slice('x-amz-grant-'.length).toUpperCase().replaceAll('-', '_')
    return [...value.matchAll(/(id|uri|emailAddress)="?([^",]*)"?/g)].map(([, kind, who = '']) =>
      kind === 'uri'
        ? grant('Group', text('URI', who), right)
        : kind === 'id'
          ? grant('CanonicalUser', text('ID', who), right)
          : grant('AmazonCustomerByEmail', text('EmailAddress', who), right),
    )
  })
}

function grant(type: string, who: string, right: string): string {
  const grantee = `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">${who}</Grantee>`
  return element('Grant', grantee, text('Permission', right))
}

const ownerGrant = grant('CanonicalUser', ownerXml.replaceAll(/<\/?Owner>/g, ''), 'FULL_CONTROL')
