/** The operations on uploads in parts. */
import type { Operation } from '../operation.ts'
import { abortUpload } from './abort-upload.ts'
import { completeUpload } from './complete-upload.ts'
import { createUpload } from './create-upload.ts'
import { listParts } from './list-parts.ts'
import { listUploads } from './list-uploads.ts'
import { uploadPartCopy } from './upload-part-copy.ts'
import { uploadPart } from './upload-part.ts'

const WRITE = { level: 'object', verb: 'write' } as const
const PART = ['uploadId', 'partNumber'] as const

export const MULTIPART_OPERATIONS: readonly Operation[] = [
  { ...WRITE, method: 'PUT', selectors: PART, header: 'x-amz-copy-source', run: uploadPartCopy },
  { ...WRITE, method: 'PUT', selectors: PART, run: uploadPart },
  { ...WRITE, method: 'POST', selectors: ['uploads'], run: createUpload },
  { ...WRITE, method: 'POST', selectors: ['uploadId'], run: completeUpload },
  { ...WRITE, method: 'DELETE', selectors: ['uploadId'], run: abortUpload },
  { ...WRITE, method: 'GET', selectors: ['uploadId'], run: listParts },
  { level: 'bucket', verb: 'list', method: 'GET', selectors: ['uploads'], run: listUploads },
]
