/**
 * Settings of S3 that are the same for every bucket here: each GET answers what is true, a PUT is taken
 * where it asks for just that, and refused where it asks for something else. One line for each.
 */
import { readDocument } from '../../body/document.ts'
import { textOf, type XmlElement } from '../../body/xml-reader.ts'
import { S3Error, type S3Code } from '../../errors.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendDocument, sendEmpty } from '../../wire/respond.ts'
import { xmlDocument } from '../../wire/xml.ts'
import type { Operation } from '../operation.ts'

interface FixedSetting {
  readonly selector: string
  /** Name of its document. */
  readonly root: string
  /** What a GET answers: what is inside the document, or that there is none. */
  readonly answer: string | { readonly code: S3Code; readonly message: string }
  /** Whether a PUT asks for what is so anyway. */
  readonly asksForThis: (document: XmlElement) => boolean
}

const none = (code: S3Code, message: string): { code: S3Code; message: string } => ({
  code,
  message,
})
const never = (): boolean => false
const isEmpty = (document: XmlElement): boolean => document.children.length === 0

const FIXED_SETTINGS: readonly FixedSetting[] = [
  {
    selector: 'versioning',
    root: 'VersioningConfiguration',
    answer: '',
    asksForThis: (document) => textOf(document, 'Status') !== 'Enabled',
  },
  {
    selector: 'policy',
    root: 'Policy',
    answer: none('NoSuchBucketPolicy', 'The bucket policy does not exist'),
    asksForThis: never,
  },
  {
    selector: 'website',
    root: 'WebsiteConfiguration',
    answer: none(
      'NoSuchWebsiteConfiguration',
      'The specified bucket does not have a website configuration',
    ),
    asksForThis: never,
  },
  {
    selector: 'publicAccessBlock',
    root: 'PublicAccessBlockConfiguration',
    answer: none(
      'NoSuchPublicAccessBlockConfiguration',
      'The public access block configuration was not found',
    ),
    asksForThis: (document) => document.children.every(({ text }) => text.trim() === 'false'),
  },
  {
    selector: 'ownershipControls',
    root: 'OwnershipControls',
    answer: none('OwnershipControlsNotFoundError', 'The bucket ownership controls were not found'),
    // There are no accounts, so whoever owns the bucket owns its objects in each of S3's three ways.
    asksForThis: () => true,
  },
  {
    selector: 'encryption',
    root: 'ServerSideEncryptionConfiguration',
    answer: none(
      'ServerSideEncryptionConfigurationNotFoundError',
      'The server side encryption configuration was not found',
    ),
    asksForThis: never,
  },
  {
    selector: 'requestPayment',
    root: 'RequestPaymentConfiguration',
    answer: '<Payer>BucketOwner</Payer>',
    asksForThis: (document) => textOf(document, 'Payer') === 'BucketOwner',
  },
  { selector: 'logging', root: 'BucketLoggingStatus', answer: '', asksForThis: isEmpty },
  { selector: 'notification', root: 'NotificationConfiguration', answer: '', asksForThis: isEmpty },
  {
    selector: 'accelerate',
    root: 'AccelerateConfiguration',
    answer: '',
    asksForThis: (document) => textOf(document, 'Status') !== 'Enabled',
  },
  {
    selector: 'replication',
    root: 'ReplicationConfiguration',
    answer: none(
      'ReplicationConfigurationNotFoundError',
      'The replication configuration was not found',
    ),
    asksForThis: never,
  },
  {
    selector: 'object-lock',
    root: 'ObjectLockConfiguration',
    answer: none(
      'ObjectLockConfigurationNotFoundError',
      'Object Lock configuration does not exist for this bucket',
    ),
    asksForThis: never,
  },
]

export const FIXED_OPERATIONS: readonly Operation[] = FIXED_SETTINGS.flatMap((setting) => {
  const route = { level: 'bucket', selectors: [setting.selector] } as const
  return [
    { ...route, method: 'GET', verb: 'know', run: getOf(setting) },
    { ...route, method: 'PUT', verb: 'write', run: putOf(setting) },
    // There is nothing to remove, which is what whoever removes it wants.
    { ...route, method: 'DELETE', verb: 'write', run: remove },
  ]
})

function getOf({ root, answer }: FixedSetting): (exchange: Exchange) => Promise<void> {
  return (exchange) => {
    if (typeof answer !== 'string') throw new S3Error(answer.code, answer.message)
    sendDocument(exchange, xmlDocument(root, answer))
    return Promise.resolve()
  }
}

function putOf({ selector, root, asksForThis }: FixedSetting): typeof remove {
  return async (exchange) => {
    // A policy is JSON; none is taken, whatever it says.
    const document = selector === 'policy' ? null : await readDocument(exchange, root)
    if (document === null || !asksForThis(document)) {
      throw new S3Error('NotImplemented', `This ${selector} configuration is not offered here.`)
    }
    sendEmpty(exchange, 200)
  }
}

function remove(exchange: Exchange, _target: BucketTarget): Promise<void> {
  sendEmpty(exchange, 204)
  return Promise.resolve()
}
