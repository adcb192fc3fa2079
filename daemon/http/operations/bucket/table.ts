/** The operations on the service and on a bucket as a whole. */
import type { Operation } from '../operation.ts'
import { createBucket } from './create-bucket.ts'
import { deleteBucket } from './delete-bucket.ts'
import { getBucketAcl } from './get-bucket-acl.ts'
import { getBucketLocation } from './get-bucket-location.ts'
import { getPolicyStatus } from './get-policy-status.ts'
import { headBucket } from './head-bucket.ts'
import { listBuckets } from './list-buckets.ts'
import { putBucketAcl } from './put-bucket-acl.ts'

export const BUCKET_OPERATIONS: readonly Operation[] = [
  { level: 'service', method: 'GET', run: listBuckets },
  { level: 'bucket', method: 'GET', selectors: ['acl'], verb: 'know', run: getBucketAcl },
  { level: 'bucket', method: 'PUT', selectors: ['acl'], verb: 'admin', run: putBucketAcl },
  { level: 'bucket', method: 'GET', selectors: ['location'], verb: 'know', run: getBucketLocation },
  {
    level: 'bucket',
    method: 'GET',
    selectors: ['policyStatus'],
    verb: 'know',
    run: getPolicyStatus,
  },
  { level: 'bucket', method: 'HEAD', verb: 'know', run: headBucket },
  { level: 'bucket-name', method: 'PUT', run: createBucket },
  { level: 'bucket', method: 'DELETE', verb: 'admin', run: deleteBucket },
]
