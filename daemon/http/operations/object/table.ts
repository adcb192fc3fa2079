/** The operations on objects. */
import type { Operation } from '../operation.ts'
import { copyObject } from './copy-object.ts'
import { deleteObject } from './delete-object.ts'
import { deleteObjects } from './delete-objects.ts'
import { getObjectAcl } from './get-object-acl.ts'
import { getObjectAttributes } from './get-object-attributes.ts'
import { getObject } from './get-object.ts'
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './object-tagging.ts'
import { postObject } from './post-object.ts'
import { putObjectAcl } from './put-object-acl.ts'
import { putObject } from './put-object.ts'

const VERSION = ['versionId'] as const
const READ = { level: 'object', verb: 'read', allows: VERSION } as const
const WRITE = { level: 'object', verb: 'write' } as const

export const OBJECT_OPERATIONS: readonly Operation[] = [
  { ...READ, method: 'GET', selectors: ['acl'], run: getObjectAcl },
  { ...READ, method: 'GET', selectors: ['attributes'], run: getObjectAttributes },
  { ...READ, method: 'GET', selectors: ['tagging'], run: getObjectTagging },
  { ...READ, method: 'GET', allows: ['versionId', 'partNumber'], run: getObject },
  { ...READ, method: 'HEAD', allows: ['versionId', 'partNumber'], run: getObject },
  { ...WRITE, method: 'PUT', selectors: ['acl'], allows: VERSION, run: putObjectAcl },
  { ...WRITE, method: 'PUT', selectors: ['tagging'], allows: VERSION, run: putObjectTagging },
  { ...WRITE, method: 'PUT', header: 'x-amz-copy-source', run: copyObject },
  { ...WRITE, method: 'PUT', run: putObject },
  { ...WRITE, method: 'DELETE', selectors: ['tagging'], allows: VERSION, run: deleteObjectTagging },
  { level: 'object', verb: 'delete', method: 'DELETE', allows: VERSION, run: deleteObject },
  { level: 'bucket', verb: 'self', method: 'POST', selectors: ['delete'], run: deleteObjects },
  { level: 'bucket', verb: 'self', method: 'POST', header: 'content-type', run: postObject },
]
