/** Answers in XML that say success by their status and failure by their content, and errors among them. */
import { errorOfAnswer } from '../errors.ts'
import type { StorageError } from '../errors.ts'
import { parseErrorAnswer } from '../objects/listing.ts'
import { parseXml } from './xml.ts'
import type { XmlElement } from './xml.ts'

/** Codes after which the same request may succeed; such an answer has a status of 200. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  InternalError: 500,
  ServiceUnavailable: 503,
  SlowDown: 503,
  PreconditionFailed: 412,
  NoSuchUpload: 404,
  AccessDenied: 403,
}

/** S3 answers long work with 200 before it knows the end; then the document may be an error. */
export function errorInAnswer(what: string, document: string): StorageError | null {
  if (parseXml(document).name !== 'Error') return null
  const answer = parseErrorAnswer(document)
  return errorOfAnswer(what, STATUS_BY_CODE[answer.code ?? ''] ?? 400, answer)
}

export const childrenNamed = (element: XmlElement, name: string): readonly XmlElement[] =>
  element.children.filter((child) => child.name === name)

export const childText = (element: XmlElement, name: string): string | undefined =>
  element.children.find((child) => child.name === name)?.text
