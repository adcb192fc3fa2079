/**
 * Sessions of the AWS SDK for JavaScript v3 (with Upload and presigner) and of minio-js against the endpoint
 * in the environment: prints one line a step, ends with status 1 on the first fault. Usage: NODE_MODULES=folder.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Readable } from 'node:stream'

const { ENDPOINT, NODE_MODULES, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env
const require = createRequire(join(NODE_MODULES, 'session.cjs'))
const MIB = 1024 * 1024
const SIZES = [0, 1, 4097, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1]
const step = (name) => process.stdout.write(`${name}\n`)

async function sdk() {
  const aws = require('@aws-sdk/client-s3')
  const { Upload } = require('@aws-sdk/lib-storage')
  const { getSignedUrl } = require('@aws-sdk/s3-request-presigner')
  const client = new aws.S3Client({ endpoint: ENDPOINT, region: 'auto', forcePathStyle: true })
  const Bucket = 'sdk-bucket'
  const send = (name, input) => client.send(new aws[`${name}Command`]({ Bucket, ...input }))
  const refused = (code, name, input) =>
    assert.rejects(send(name, input), (error) => error.name === code || error.Code === code)

  step('AWS SDK for JavaScript: buckets')
  await refused('NotFound', 'HeadBucket', {})
  await send('CreateBucket', {})
  await send('HeadBucket', {})
  await refused('BucketAlreadyOwnedByYou', 'CreateBucket', {})
  const { Buckets } = await client.send(new aws.ListBucketsCommand({}))
  assert(Buckets.some(({ Name }) => Name === Bucket))
  await refused('NoSuchBucket', 'GetObject', { Bucket: 'no-such-bucket', Key: 'x' })

  step('objects of every size, type and checksum')
  for (const size of SIZES) {
    const Body = randomBytes(size)
    await send('PutObject', { Key: `size/${size}`, Body, Metadata: { k: 'v' } })
    const got = await send('GetObject', { Key: `size/${size}` })
    assert(Body.equals(Buffer.from(await got.Body.transformToByteArray())))
    assert.deepEqual(got.Metadata, { k: 'v' })
  }
  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'SHA1', 'SHA256', 'CRC64NVME']) {
    const Body = randomBytes(1000)
    try {
      await send('PutObject', { Key: 'sum', Body, ChecksumAlgorithm })
    } catch (error) {
      // some need a package of its own, which is the client's business
      if (/install|not found|requires/i.test(error.message)) continue
      throw error
    }
    const got = await send('GetObject', { Key: 'sum', ChecksumMode: 'ENABLED' })
    assert(got[`Checksum${ChecksumAlgorithm}`], ChecksumAlgorithm)
    assert(Body.equals(Buffer.from(await got.Body.transformToByteArray())))
  }
  const streamed = randomBytes(3 * MIB)
  await send('PutObject', {
    Key: 'stream',
    Body: Readable.from([streamed]),
    ContentLength: streamed.length,
  })
  const stream = await send('GetObject', { Key: 'stream', Range: 'bytes=100-199' })
  assert(streamed.subarray(100, 200).equals(Buffer.from(await stream.Body.transformToByteArray())))
  await refused('NoSuchKey', 'GetObject', { Key: 'none' })
  await refused('NotFound', 'HeadObject', { Key: 'none' })
  await refused('PreconditionFailed', 'PutObject', { Key: 'stream', Body: 'x', IfNoneMatch: '*' })

  step('Upload of a stream of unknown size')
  const large = randomBytes(17 * MIB + 3)
  async function* pieces() {
    for (let at = 0; at < large.length; at += 99_991) yield large.subarray(at, at + 99_991)
  }
  await new Upload({
    client,
    params: { Bucket, Key: 'large', Body: Readable.from(pieces()) },
  }).done()
  const whole = await send('GetObject', { Key: 'large' })
  assert(large.equals(Buffer.from(await whole.Body.transformToByteArray())))
  const part = await send('GetObject', { Key: 'large', PartNumber: 2 })
  assert.equal(part.PartsCount, 4)
  assert(
    large.subarray(5 * MIB, 10 * MIB).equals(Buffer.from(await part.Body.transformToByteArray())),
  )

  step('copies, listings, presigned URLs')
  await send('CopyObject', { Key: 'a b+c/ü', CopySource: `${Bucket}/size/4097` })
  const keys = []
  for await (const page of aws.paginateListObjectsV2({ client, pageSize: 3 }, { Bucket })) {
    keys.push(...page.Contents.map(({ Key }) => Key))
  }
  assert.equal(keys.length, SIZES.length + 4)
  assert(keys.includes('a b+c/ü'))
  const url = await getSignedUrl(client, new aws.GetObjectCommand({ Bucket, Key: 'a b+c/ü' }), {
    expiresIn: 60,
  })
  assert.equal((await (await fetch(url)).arrayBuffer()).byteLength, 4097)
  assert.equal((await fetch(url.replace('/a', '/b'))).status, 403)
  const put = await getSignedUrl(client, new aws.PutObjectCommand({ Bucket, Key: 'by-url' }), {
    expiresIn: 60,
  })
  assert.equal((await fetch(put, { method: 'PUT', body: 'by url' })).status, 200)
  assert.equal(
    await (await send('GetObject', { Key: 'by-url' })).Body.transformToString(),
    'by url',
  )
  const wrong = new aws.S3Client({
    endpoint: ENDPOINT,
    region: 'auto',
    forcePathStyle: true,
    credentials: { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: 'wrong' },
  })
  await assert.rejects(wrong.send(new aws.ListBucketsCommand({})), {
    name: 'SignatureDoesNotMatch',
  })

  step('deletes')
  const Objects = [...keys, 'by-url'].map((Key) => ({ Key }))
  const { Deleted } = await send('DeleteObjects', { Delete: { Objects } })
  assert.equal(Deleted.length, Objects.length)
  await send('DeleteBucket', {})
}

async function minio() {
  const { Client } = require('minio')
  const { hostname, port } = new URL(ENDPOINT)
  const client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey: AWS_ACCESS_KEY_ID,
    secretKey: AWS_SECRET_ACCESS_KEY,
  })
  const bucket = 'minio-bucket'
  const collect = async (stream) => Buffer.concat(await stream.toArray())
  step('minio-js: buckets and objects')
  assert.equal(await client.bucketExists(bucket), false)
  await client.makeBucket(bucket)
  assert.equal(await client.bucketExists(bucket), true)
  for (const size of SIZES) {
    const body = randomBytes(size)
    await client.putObject(bucket, `size/${size}`, body, size, { 'x-amz-meta-k': 'v' })
    assert(body.equals(await collect(await client.getObject(bucket, `size/${size}`))))
  }
  const stat = await client.statObject(bucket, 'size/4097')
  assert.equal(stat.metaData.k, 'v')
  await assert.rejects(client.statObject(bucket, 'none'), { code: 'NotFound' })
  step('parts, copies, ranges, listings')
  const large = randomBytes(70 * MIB)
  await client.putObject(bucket, 'large', Readable.from([large]))
  const got = await collect(await client.getObject(bucket, 'large'))
  const digest = (bytes) => createHash('sha256').update(bytes).digest('hex')
  assert.equal(digest(got), digest(large))
  const range = await collect(await client.getPartialObject(bucket, 'large', 1000, 100))
  assert(range.equals(large.subarray(1000, 1100)))
  await client.copyObject(bucket, 'a b+c/ü', `/${bucket}/size/4097`)
  for (const list of ['listObjects', 'listObjectsV2']) {
    const found = await client[list](bucket, '', true).toArray()
    assert.equal(found.length, SIZES.length + 2)
    assert(found.some(({ name }) => name === 'a b+c/ü'))
    assert.deepEqual(
      (await client[list](bucket, 'size', false).toArray()).map(({ prefix }) => prefix),
      ['size/'],
    )
  }
  step('presigned URLs and forms')
  const url = await client.presignedGetObject(bucket, 'a b+c/ü', 60)
  assert.equal((await (await fetch(url)).arrayBuffer()).byteLength, 4097)
  const put = await client.presignedPutObject(bucket, 'by-url', 60)
  assert.equal((await fetch(put, { method: 'PUT', body: 'by url' })).status, 200)
  const policy = client.newPostPolicy()
  policy.setBucket(bucket)
  policy.setKey('posted')
  policy.setExpires(new Date(Date.now() + 60_000))
  const { postURL, formData } = await client.presignedPostPolicy(policy)
  const form = new FormData()
  for (const [name, value] of Object.entries(formData)) form.append(name, value)
  form.append('file', new Blob(['posted']), 'x.txt')
  assert.equal((await fetch(postURL, { method: 'POST', body: form })).status, 204)
  assert.equal(String(await collect(await client.getObject(bucket, 'posted'))), 'posted')
  step('deletes')
  const names = (await client.listObjectsV2(bucket, '', true).toArray()).map(({ name }) => name)
  await client.removeObjects(bucket, names)
  await client.removeBucket(bucket)
}

await (process.argv[2] === 'minio' ? minio() : sdk())
step('done')
