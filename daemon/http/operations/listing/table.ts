/** The listings of a bucket's objects. */
import type { Operation } from '../operation.ts'
import { listObjects } from './list-objects.ts'
import { listObjectsV2 } from './list-objects-v2.ts'
import { listObjectVersions } from './list-object-versions.ts'

const GET_BUCKET = { level: 'bucket', method: 'GET', verb: 'list' } as const

export const LISTING_OPERATIONS: readonly Operation[] = [
  { ...GET_BUCKET, selectors: ['versions'], run: listObjectVersions },
  { ...GET_BUCKET, selectors: ['list-type'], run: listObjectsV2 },
  { ...GET_BUCKET, run: listObjects },
]
