/**
 * The settings of a bucket: those that are kept, and those that are the same for all. Whoever may write every
 * key of a bucket may set them: an app sets up its own bucket.
 */
import type { Verb } from '../../../../protocol/records.ts'
import type { Operation } from '../operation.ts'
import { deleteCors, getCors, putCors } from './cors.ts'
import { FIXED_OPERATIONS } from './fixed.ts'
import { deleteLifecycle, getLifecycle, putLifecycle } from './lifecycle.ts'
import { deleteBucketTagging, getBucketTagging, putBucketTagging } from './tagging.ts'

type Run = (Operation & { level: 'bucket' })['run']

const setting = (selector: string, runs: readonly [get: Run, put: Run, remove: Run]): Operation[] =>
  (['GET', 'PUT', 'DELETE'] as const).map((method, index) => {
    const verb: Verb | 'know' = method === 'GET' ? 'know' : 'write'
    return { level: 'bucket', method, selectors: [selector], verb, run: runs[index] ?? runs[0] }
  })

export const SETTINGS_OPERATIONS: readonly Operation[] = [
  ...setting('cors', [getCors, putCors, deleteCors]),
  ...setting('lifecycle', [getLifecycle, putLifecycle, deleteLifecycle]),
  ...setting('tagging', [getBucketTagging, putBucketTagging, deleteBucketTagging]),
  ...FIXED_OPERATIONS,
]
