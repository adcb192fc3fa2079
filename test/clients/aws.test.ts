/** The aws command line, Debian's and PyPI's: every command that people use, each byte and refusal compared. */
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LARGE_BYTES, programsNamed, Session, SIZES } from './session.ts'
import { SKIPPED } from '../support/skipping.ts'

const programs = programsNamed('aws')

test('the aws command line is installed', (context) => {
  if (programs.length === 0) context.skip(`${SKIPPED}the aws command line is not installed`)
})

describe.each(programs)('%s', (aws) => {
  const session = new Session('aws')
  const uri = (key: string): string => `s3://${session.bucket}/${key}`
  const run = async (...words: string[]): Promise<string> =>
    session.must(aws, '--endpoint-url', session.endpoint, ...words)
  const fails = async (...words: string[]): Promise<string> => {
    const ran = await session.run(aws, ['--endpoint-url', session.endpoint, ...words])
    expect(ran.status, ran.output).not.toBe(0)
    return ran.output
  }

  beforeAll(async () => {
    await session.open()
  })
  afterAll(async () => {
    await session.close()
  })

  test('makes a bucket once', async () => {
    await run('s3', 'mb', `s3://${session.bucket}`)
    expect(await fails('s3api', 'create-bucket', '--bucket', session.bucket)).toContain(
      'BucketAlreadyOwnedByYou',
    )
    expect(await run('s3', 'ls')).toContain(session.bucket)
    expect(await fails('s3', 'ls', 's3://no-such-bucket')).toContain('NoSuchBucket')
  }, 120_000)

  test('brings files up and down, small and in parts', async () => {
    const sizes = [...SIZES, LARGE_BYTES]
    for (const size of sizes) session.makeFile(`up/${size}.bin`, size)
    await run('s3', 'cp', '--no-progress', '--recursive', session.path('up'), uri('files'))
    await run('s3', 'cp', '--no-progress', '--recursive', uri('files'), session.path('down'))
    for (const size of sizes) {
      const [up, down] = [session.read(`up/${size}.bin`), session.read(`down/${size}.bin`)]
      expect(down.equals(up), String(size)).toBe(true)
    }
    const listed = await run('s3', 'ls', '--recursive', uri(''))
    expect(listed.match(/files\/\d+\.bin/g)?.length).toBe(SIZES.length + 1)
  }, 240_000)

  test('copies on the server, also what came in parts, with metadata and tags', async () => {
    const { path, bytes } = session.makeFile('large', LARGE_BYTES)
    const about = [
      '--metadata',
      'foo=bar',
      '--content-type',
      'text/x',
      '--cache-control',
      'max-age=3',
    ]
    await run('s3', 'cp', '--no-progress', ...about, path, uri('large'))
    // the older client forgets the metadata of what it copies in parts
    await run('s3', 'cp', '--no-progress', ...about, uri('large'), uri('large copy'))
    await run('s3', 'mv', '--no-progress', ...about, uri('large copy'), uri('moved/large'))
    await run('s3', 'cp', '--no-progress', uri('moved/large'), session.path('copied'))
    expect(session.read('copied').equals(bytes)).toBe(true)
    const head = await run(
      's3api',
      'head-object',
      '--bucket',
      session.bucket,
      '--key',
      'moved/large',
    )
    expect(JSON.parse(head)).toMatchObject({
      ContentLength: LARGE_BYTES,
      ContentType: 'text/x',
      CacheControl: 'max-age=3',
      Metadata: { foo: 'bar' },
    })
    const gone = await session.run(aws, [
      '--endpoint-url',
      session.endpoint,
      's3',
      'ls',
      uri('large copy'),
    ])
    expect(gone.stdout).toBe('')
  }, 240_000)

  test('keeps folders in step', async () => {
    for (const name of ['a b+c.txt', 'ü/ß.txt', 'x/y/z', 'e mpty'])
      session.makeFile(`tree/${name}`, name === 'e mpty' ? 0 : 1000)
    await run('s3', 'sync', '--no-progress', session.path('tree'), uri('tree'))
    expect(await run('s3', 'sync', '--no-progress', session.path('tree'), uri('tree'))).toBe('')
    await run('s3', 'sync', '--no-progress', uri('tree'), session.path('tree-back'))
    for (const name of ['a b+c.txt', 'ü/ß.txt', 'x/y/z', 'e mpty']) {
      expect(session.read(`tree-back/${name}`).equals(session.read(`tree/${name}`))).toBe(true)
    }
    const top = await run('s3', 'ls', uri('tree/'))
    expect(top).toContain('PRE x/')
    expect(top).toContain('a b+c.txt')
    await run('s3', 'rm', '--recursive', uri('tree'))
    expect(
      (await session.run(aws, ['--endpoint-url', session.endpoint, 's3', 'ls', uri('tree/')]))
        .stdout,
    ).toBe('')
  }, 240_000)

  test('knows what else there is to ask and set', async () => {
    const api = (operation: string, ...words: string[]): Promise<string> =>
      run('s3api', operation, '--bucket', session.bucket, ...words)
    await api('put-object', '--key', 'small', '--body', session.makeFile('small', 10).path)
    await api('put-object-tagging', '--key', 'small', '--tagging', 'TagSet=[{Key=a,Value=b c}]')
    expect(JSON.parse(await api('get-object-tagging', '--key', 'small'))).toEqual({
      TagSet: [{ Key: 'a', Value: 'b c' }],
    })
    const attributes = await api(
      'get-object-attributes',
      '--key',
      'small',
      '--object-attributes',
      'ETag',
      'ObjectSize',
    )
    expect(JSON.parse(attributes)).toMatchObject({ ObjectSize: 10 })
    expect(JSON.parse(await api('get-object-acl', '--key', 'small')).Grants).toHaveLength(1)
    expect(await api('get-bucket-location')).toContain('null')
    await api('get-bucket-versioning')
    await api('get-bucket-acl')
    await api('list-multipart-uploads')
    const versions = JSON.parse(await api('list-object-versions', '--prefix', 'small'))
    expect(versions.Versions[0]).toMatchObject({ Key: 'small', VersionId: 'null', IsLatest: true })
    const page = JSON.parse(await api('list-objects-v2', '--prefix', 'files/', '--page-size', '2'))
    expect(page.Contents).toHaveLength(SIZES.length + 1)
    const deleted = await api('delete-objects', '--delete', 'Objects=[{Key=small},{Key=never}]')
    expect(JSON.parse(deleted).Deleted).toHaveLength(2)
    expect(
      await fails('s3api', 'head-object', '--bucket', session.bucket, '--key', 'small'),
    ).toContain('404')
    expect(await fails('s3api', 'get-bucket-policy', '--bucket', session.bucket)).toContain(
      'NoSuchBucketPolicy',
    )
    expect(
      await fails('s3api', 'get-bucket-lifecycle-configuration', '--bucket', session.bucket),
    ).toContain('NoSuchLifecycleConfiguration')
  }, 240_000)

  test('signs URLs that open', async () => {
    const url = (await run('s3', 'presign', uri('files/4097.bin'))).trim()
    const answer = await fetch(url)
    expect(answer.status).toBe(200)
    expect(Buffer.from(await answer.arrayBuffer()).equals(session.read('up/4097.bin'))).toBe(true)
    expect((await fetch(url.replace('4097', '4098'))).status).toBe(403)
  }, 120_000)

  test('is refused with a wrong secret, and where its key may not go', async () => {
    const wrong = { AWS_SECRET_ACCESS_KEY: 'wrong' }
    const words = ['--endpoint-url', session.endpoint, 's3', 'ls', `s3://${session.bucket}`]
    const refused = await session.run(aws, words, { variables: wrong })
    expect(refused.output).toContain('SignatureDoesNotMatch')
    const app = await session.run(aws, words, {
      variables: { ...session.app, AWS_DEFAULT_REGION: 'auto' },
    })
    expect(app.output).toContain('AccessDenied')
  }, 120_000)

  test('removes a bucket when it is empty', async () => {
    expect(await fails('s3', 'rb', `s3://${session.bucket}`)).toContain('BucketNotEmpty')
    await run('s3', 'rb', '--force', `s3://${session.bucket}`)
    expect(await run('s3', 'ls')).not.toContain(session.bucket)
    expect(existsSync(session.path('no-config'))).toBe(false)
  }, 240_000)
})
