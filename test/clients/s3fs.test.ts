/** s3fs: a bucket mounted by somebody else's program over our HTTP, and used. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { programsNamed, Session } from './session.ts'
import { eventually } from '../support/daemon.ts'
import { SKIPPED } from '../support/skipping.ts'

const [s3fs] = programsNamed('s3fs')
const why =
  s3fs === undefined
    ? 's3fs is not installed'
    : existsSync('/dev/fuse') && process.getuid?.() === 0
      ? null
      : 'mounting takes root and /dev/fuse'
const session = new Session('s3fs')
let mounted = ''

beforeAll(async () => {
  if (why !== null) return
  await session.open()
  const { accessKeyId, secretAccessKey } = session.key
  writeFileSync(session.path('passwd'), `${accessKeyId}:${secretAccessKey}\n`, { mode: 0o600 })
  const folder = session.machine.makeFolder('s3fs')
  const options = `passwd_file=${session.path('passwd')},url=${session.endpoint},use_path_request_style,multipart_size=5,singlepart_copy_limit=5`
  await session.must(s3fs ?? '', 'app-bucket', folder, '-o', options)
  mounted = folder
  await eventually('the mount', () => readFileSync('/proc/self/mounts', 'utf8').includes(folder))
})
afterAll(async () => {
  if (mounted !== '') execFileSync('umount', ['-l', mounted])
  await session.close()
})

test('a bucket mounted by s3fs', { timeout: 180_000 }, async (context) => {
  if (why !== null) return context.skip(`${SKIPPED}${why}`)
  const at = (name: string): string => join(mounted, name)
  for (const size of [0, 1, 5 * 1024 ** 2 + 1, 12 * 1024 ** 2]) {
    const bytes = randomBytes(size)
    writeFileSync(at(`f${size}`), bytes)
    expect(readFileSync(at(`f${size}`)).equals(bytes)).toBe(true)
  }
  mkdirSync(at('dir/sub'), { recursive: true })
  writeFileSync(at('dir/sub/ü ß'), 'x')
  expect(readdirSync(at('dir/sub'))).toEqual(['ü ß'])
  chmodSync(at('dir/sub/ü ß'), 0o600)
  expect(statSync(at('dir/sub/ü ß')).mode & 0o777).toBe(0o600)
  renameSync(at('f12582912'), at('dir/large'))
  // into the middle: an upload in parts, with the rest copied on the server
  const before = readFileSync(at('dir/large'))
  const fd = openSync(at('dir/large'), 'r+')
  writeSync(fd, 'changed', 6 * 1024 ** 2)
  closeSync(fd)
  before.write('changed', 6 * 1024 ** 2)
  expect(readFileSync(at('dir/large')).equals(before)).toBe(true)
  appendFileSync(at('f1'), 'more')
  expect(statSync(at('f1')).size).toBe(5)
  rmSync(at('dir'), { recursive: true })
  expect(readdirSync(mounted).toSorted()).toEqual(['f0', 'f1', 'f5242881'])
})
