/**
 * Access control lists as far as they say something here: an object or bucket is its owner's, and either
 * everybody may read it or not. Canned ACLs and documents that mean one of the two are taken, all others
 * are refused, since they would promise what is not kept.
 */
import { readDocument } from '../body/document.ts'
import { childOf, childrenOf, textOf, type XmlElement } from '../body/xml-reader.ts'
import { S3Error } from '../errors.ts'
import type { Exchange } from '../exchange.ts'
import { xmlDocument } from '../wire/xml.ts'

const ALL_USERS = 'http://acs.amazonaws.com/groups/global/AllUsers'
const XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

/** Whose everything is: there are no accounts. */
export const OWNER = '<ID>shoal</ID><DisplayName>shoal</DisplayName>'

const OWNER_GRANT =
  `<Grant><Grantee ${XSI} xsi:type="CanonicalUser">${OWNER}</Grantee>` +
  '<Permission>FULL_CONTROL</Permission></Grant>'
const PUBLIC_GRANT =
  `<Grant><Grantee ${XSI} xsi:type="Group"><URI>${ALL_USERS}</URI></Grantee>` +
  '<Permission>READ</Permission></Grant>'

export const aclDocument = (isPublic: boolean): string =>
  xmlDocument(
    'AccessControlPolicy',
    `<Owner>${OWNER}</Owner><AccessControlList>${OWNER_GRANT}` +
      `${isPublic ? PUBLIC_GRANT : ''}</AccessControlList>`,
  )

/** The names by which S3 knows the two; the owner of all is the same. */
const PUBLIC_BY_CANNED_ACL: ReadonlyMap<string, boolean> = new Map([
  ['private', false],
  ['bucket-owner-full-control', false],
  ['bucket-owner-read', false],
  ['public-read', true],
])

/**
 * What `x-amz-acl` asks for; null where it is not there.
 * @throws S3Error `NotImplemented` for an ACL that nothing here corresponds to
 */
export function cannedAcl(headers: ReadonlyMap<string, string>): boolean | null {
  const name = headers.get('x-amz-acl')
  if (name === undefined) return null
  const isPublic = PUBLIC_BY_CANNED_ACL.get(name)
  if (isPublic === undefined) throw unknownAcl()
  return isPublic
}

/** Whether a PUT of an ACL makes public, by its header or its document. @throws S3Error */
export async function readAccessWish(exchange: Exchange): Promise<boolean> {
  for (const name of exchange.request.headers.keys()) {
    if (name.startsWith('x-amz-grant-')) throw unknownAcl()
  }
  const canned = cannedAcl(exchange.request.headers)
  const document = await readDocument(exchange, 'AccessControlPolicy')
  if (canned !== null) return canned
  if (document === null) {
    throw new S3Error('MalformedACLError', 'The request names no ACL.')
  }
  return meaningOf(document)
}

function meaningOf(document: XmlElement): boolean {
  const list = childOf(document, 'AccessControlList')
  if (list === null) {
    throw new S3Error('MalformedACLError', 'The ACL has no AccessControlList.')
  }
  let isPublic = false
  for (const grant of childrenOf(list, 'Grant')) {
    const grantee = childOf(grant, 'Grantee')
    const permission = textOf(grant, 'Permission')
    if (grantee === null || permission === null) {
      throw new S3Error('MalformedACLError', 'A grant of the ACL has no grantee or no permission.')
    }
    const uri = textOf(grantee, 'URI')
    if (uri === ALL_USERS && permission === 'READ') isPublic = true
    else if (uri !== null || permission !== 'FULL_CONTROL') throw unknownAcl()
  }
  return isPublic
}

const unknownAcl = (): S3Error =>
  new S3Error(
    'NotImplemented',
    'An object or bucket here is private or public-read; other ACLs are not offered.',
  )
