/** s3cmd, rclone and restic: what people do with them, each byte and refusal compared. */
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LARGE_BYTES, programsNamed, Session, SIZES } from './session.ts'
import { SKIPPED } from '../support/skipping.ts'

const [s3cmd] = programsNamed('s3cmd')
const [rclone] = programsNamed('rclone')
const [restic] = programsNamed('restic')

test.for([
  ['s3cmd', s3cmd],
  ['rclone', rclone],
  ['restic', restic],
] as const)('%s is installed', ([name, program], context) => {
  if (program === undefined) context.skip(`${SKIPPED}${name} is not installed`)
})

describe.skipIf(s3cmd === undefined)('s3cmd', () => {
  const session = new Session('s3cmd')
  const uri = (key: string): string => `s3://${session.bucket}/${key}`
  const flags = (secret = session.key.secretAccessKey): string[] => [
    `--access_key=${session.key.accessKeyId}`,
    `--secret_key=${secret}`,
    `--host=${session.host}`,
    `--host-bucket=${session.host}`,
    '--no-ssl',
    '--no-progress',
    `--config=${session.path('s3cfg')}`,
  ]
  const run = (...words: string[]): Promise<string> =>
    session.must(s3cmd ?? '', ...flags(), ...words)
  const fails = async (...words: string[]): Promise<string> => {
    const ran = await session.run(s3cmd ?? '', [...flags(), ...words])
    expect(ran.status, ran.output).not.toBe(0)
    return ran.output
  }
  beforeAll(async () => {
    await session.open()
    writeFileSync(session.path('s3cfg'), '[default]\n')
  })
  afterAll(async () => {
    await session.close()
  })

  test('puts, gets, copies, moves, lists and deletes', async () => {
    await run('mb', `s3://${session.bucket}`)
    expect(await run('ls')).toContain(session.bucket)
    for (const size of [...SIZES, LARGE_BYTES]) {
      const { path, bytes } = session.makeFile('up', size)
      await run('put', '--multipart-chunk-size-mb=5', path, uri(`size/${size}`))
      await run('get', '--force', uri(`size/${size}`), session.path('down'))
      expect(session.read('down').equals(bytes), String(size)).toBe(true)
    }
    await run('cp', uri('size/4097'), uri('a b+c'))
    await run('mv', uri('a b+c'), uri('ü/moved'))
    await run('get', '--force', uri('ü/moved'), session.path('moved'))
    expect(session.read('moved').length).toBe(4097)
    expect(await run('ls', '--recursive', uri(''))).toContain('ü/moved')
    expect(await run('ls', uri(''))).toContain(`DIR  ${uri('size/')}`)
    await run('modify', '--add-header=x-amz-meta-c:d', uri('ü/moved'))
    expect(await run('info', uri('ü/moved'))).toContain('x-amz-meta-c: d')
    expect(await run('info', `s3://${session.bucket}`)).toContain('Payer:')
    await run('setacl', '--acl-public', uri('ü/moved'))
    const open = await fetch(`${session.endpoint}/${session.bucket}/%C3%BC/moved`)
    expect(open.status).toBe(200)
    await run('setacl', '--acl-private', uri('ü/moved'))
    expect((await fetch(`${session.endpoint}/${session.bucket}/%C3%BC/moved`)).status).toBe(403)
    expect(await run('multipart', `s3://${session.bucket}`)).toContain('Initiated')
    expect(await fails('get', '--force', uri('none'), session.path('x'))).toMatch(
      /404|does not exist/,
    )
  }, 180_000)

  test('keeps folders in step, signs URLs, and is refused with a wrong secret', async () => {
    for (const name of ['one', 'sub/two']) session.makeFile(`tree/${name}`, 3000)
    await run('sync', `${session.path('tree')}/`, uri('tree/'))
    session.makeFile('tree/one', 3001)
    await run('sync', `${session.path('tree')}/`, uri('tree/'))
    await run('sync', uri('tree/'), `${session.path('back')}/`)
    for (const name of ['one', 'sub/two']) {
      expect(session.read(`back/${name}`).equals(session.read(`tree/${name}`))).toBe(true)
    }
    const url = (await run('signurl', uri('tree/one'), '+60')).trim()
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url.replace('/one', '/two'))).status).toBe(403)
    const wrong = await session.run(s3cmd ?? '', [...flags('wrong'), 'ls'])
    expect(wrong.output).toMatch(/SignatureDoesNotMatch|403/)
    expect(await fails('rb', `s3://${session.bucket}`)).toContain('BucketNotEmpty')
    await run('del', '--recursive', '--force', uri(''))
    await run('rb', `s3://${session.bucket}`)
  }, 180_000)
})

describe.skipIf(rclone === undefined)('rclone', () => {
  const session = new Session('rclone')
  const run = (...words: string[]): Promise<string> =>
    session.must(rclone ?? '', '--config', session.path('rclone.conf'), '--retries=1', ...words)
  beforeAll(async () => {
    await session.open()
    const { accessKeyId, secretAccessKey } = session.key
    writeFileSync(
      session.path('rclone.conf'),
      `[r]\ntype = s3\nprovider = Other\naccess_key_id = ${accessKeyId}\nsecret_access_key = ${secretAccessKey}\n` +
        `endpoint = ${session.endpoint}\nacl = private\nupload_cutoff = 5Mi\nchunk_size = 5Mi\ncopy_cutoff = 5Mi\n` +
        `[app]\ntype = s3\nprovider = Other\naccess_key_id = ${session.app['AWS_ACCESS_KEY_ID'] ?? ''}\n` +
        `secret_access_key = ${session.app['AWS_SECRET_ACCESS_KEY'] ?? ''}\nendpoint = ${session.endpoint}\n`,
    )
  })
  afterAll(async () => {
    await session.close()
  })

  test('copies, checks, syncs, moves and purges', async () => {
    const remote = `r:${session.bucket}`
    await run('mkdir', remote)
    for (const size of [...SIZES, LARGE_BYTES]) session.makeFile(`tree/dir ${size}/ü+%.bin`, size)
    await run('copy', session.path('tree'), `${remote}/tree`)
    await run('check', '--download', session.path('tree'), `${remote}/tree`)
    await run('check', session.path('tree'), `${remote}/tree`)
    await run('copy', `${remote}/tree`, `${remote}/copied`)
    await run('check', '--download', `${remote}/tree`, `${remote}/copied`)
    await run('moveto', `${remote}/copied/dir 1/ü+%.bin`, `${remote}/moved`)
    await run('sync', session.path('tree'), `${remote}/copied`)
    await run('check', '--download', session.path('tree'), `${remote}/copied`)
    await run('sync', `${remote}/tree`, session.path('back'))
    await run('check', session.path('tree'), session.path('back'))
    expect((await run('lsf', '-R', '--files-only', remote)).trim().split('\n')).toHaveLength(15)
    expect(await run('lsd', remote)).toContain('tree')
    expect(await run('cat', '--head', '1', `${remote}/moved`)).toHaveLength(1)
    const link = (await run('link', '--expire', '1m', `${remote}/moved`)).trim()
    expect((await fetch(link)).status).toBe(200)
    await run('cleanup', remote)
    await run('delete', `${remote}/copied`)
    await run('purge', remote)
    expect(await run('lsd', 'r:')).not.toContain(session.bucket)
  }, 240_000)

  test("writes with an app's key, which may not make buckets", async () => {
    session.makeFile('app/x', 1000)
    await run('copy', session.path('app'), 'app:app-bucket/sub')
    await run('check', '--download', session.path('app'), 'app:app-bucket/sub')
    const refused = await session.run(rclone ?? '', [
      '--config',
      session.path('rclone.conf'),
      '--retries=1',
      'mkdir',
      'app:another-bucket',
    ])
    expect(refused.output).toContain('AccessDenied')
  }, 120_000)
})

describe.skipIf(restic === undefined)('restic', () => {
  const session = new Session('restic')
  beforeAll(async () => {
    await session.open()
  })
  afterAll(async () => {
    await session.close()
  })

  test('keeps a repository: init, backup, check, restore, forget, prune', async () => {
    const repository = `s3:${session.endpoint}/${session.bucket}/repository`
    writeFileSync(session.path('password'), 'secret')
    const run = (...words: string[]): Promise<string> =>
      session.must(
        restic ?? '',
        '-r',
        repository,
        '-p',
        session.path('password'),
        '--no-cache',
        ...words,
      )
    await run('init')
    expect(
      (await session.run(restic ?? '', ['-r', repository, '-p', session.path('password'), 'init']))
        .status,
    ).not.toBe(0)
    for (const size of SIZES) session.makeFile(`data/${size}`, size)
    await run('backup', session.path('data'))
    session.makeFile('data/more', LARGE_BYTES)
    await run('backup', session.path('data'))
    await run('check', '--read-data')
    await run('restore', 'latest', '--target', session.path('restored'))
    const restored = session.path('restored') + session.path('data')
    await session.must('diff', '-r', session.path('data'), restored)
    await run('forget', '--keep-last', '1', '--prune')
    await run('check', '--read-data')
    const wrong = await session.run(
      restic ?? '',
      ['-r', repository, '-p', session.path('password'), 'snapshots'],
      {
        variables: { AWS_SECRET_ACCESS_KEY: 'wrong' },
      },
    )
    expect(wrong.status).not.toBe(0)
  }, 240_000)
})
