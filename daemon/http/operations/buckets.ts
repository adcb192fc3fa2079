/** What is asked and done about one bucket as a whole: HeadBucket, GetBucketLocation, CreateBucket, DeleteBucket. */
import type { BucketNameTarget, BucketTarget, Exchange } from '../exchange.ts'
import { sendDocument, sendEmpty } from '../respond.ts'
import { xmlDocument } from '../xml.ts'

/** A bucket is everywhere its cluster is. Clients sign with whatever region they are told, and all are taken. */
const REGION = 'auto'

export function headBucket(exchange: Exchange, _target: BucketTarget): Promise<void> {
  sendEmpty(exchange, 200, ['x-amz-bucket-region', REGION])
  return Promise.resolve()
}

/** Empty is S3's name for its first region, which every client takes. */
export function getBucketLocation(exchange: Exchange, _target: BucketTarget): Promise<void> {
  sendDocument(exchange, xmlDocument('LocationConstraint', ''))
  return Promise.resolve()
}

/** The body could name a region; a bucket here has none, so it is not looked at. */
export async function createBucket(exchange: Exchange, target: BucketNameTarget): Promise<void> {
  exchange.welcomeBody()
  await exchange.backend.createBucket(target.name)
  sendEmpty(exchange, 200, ['Location', `/${target.name}`])
}

export async function deleteBucket(exchange: Exchange, target: BucketTarget): Promise<void> {
  await exchange.backend.deleteBucket(target.name)
  sendEmpty(exchange, 204)
}
