/** Where the SDK finds its daemon and keys: options, then environment, then the machine's daemon. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { discoverConnection } from '../../sdk/connection.ts'
import { StorageError } from '../../sdk/index.ts'

const home = mkdtempSync(join(tmpdir(), 'shoal-home-'))
mkdirSync(join(home, 'run'))
writeFileSync(
  join(home, 'run', 'addresses.json'),
  JSON.stringify({ http: 'http://127.0.0.1:7999', peer: 'wss://127.0.0.1:1', pid: 1 }),
)
writeFileSync(
  join(home, 'run', 'local-key.json'),
  JSON.stringify({ accessKeyId: 'LOCAL', secretAccessKey: 'local secret' }),
)
const empty = mkdtempSync(join(tmpdir(), 'shoal-home-'))
afterAll(() => {
  for (const folder of [home, empty]) rmSync(folder, { recursive: true, force: true })
})

const printed = {
  AWS_ACCESS_KEY_ID: 'ENV',
  AWS_SECRET_ACCESS_KEY: 'env secret',
  AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:7070',
  AWS_REGION: 'auto',
  SHOAL_URL: 'https://files.example.com',
}

test('the machine has a daemon: its address and its local key', () => {
  const found = discoverConnection({}, { SHOAL_HOME: home })
  expect(found).toMatchObject({
    accessKeyId: 'LOCAL',
    secretAccessKey: 'local secret',
    region: 'auto',
  })
  expect(found.endpoint.origin).toBe('http://127.0.0.1:7999')
  expect(found.publicUrl.origin).toBe('http://127.0.0.1:7999')
})

test('the environment counts more, options most', () => {
  const fromEnvironment = discoverConnection({}, { ...printed, SHOAL_HOME: home })
  expect(fromEnvironment.accessKeyId).toBe('ENV')
  expect(fromEnvironment.endpoint.origin).toBe('http://127.0.0.1:7070')
  expect(fromEnvironment.publicUrl.origin).toBe('https://files.example.com')
  const options = {
    endpoint: 'http://10.0.0.1:80',
    accessKeyId: 'A',
    secretAccessKey: 'B',
    region: 'r',
  }
  const fromOptions = discoverConnection(options, printed)
  expect(fromOptions).toMatchObject({ accessKeyId: 'A', secretAccessKey: 'B', region: 'r' })
  expect(fromOptions.publicUrl.origin).toBe('http://10.0.0.1')
})

test('a daemon that is named counts more than the environment', () => {
  const found = discoverConnection({ home }, { ...printed, SHOAL_HOME: empty })
  expect(found).toMatchObject({ accessKeyId: 'LOCAL', region: 'auto' })
  expect(found.endpoint.origin).toBe('http://127.0.0.1:7999')
  expect(found.publicUrl.origin).toBe('http://127.0.0.1:7999')
})

test('the local key never goes to another server', () => {
  expect(() =>
    discoverConnection({ endpoint: 'http://10.0.0.1:7999' }, { SHOAL_HOME: home }),
  ).toThrow(/access key/)
})

const failed = (): unknown => discoverConnection({}, { SHOAL_HOME: empty })

test('nothing there: says what is missing and how to get it', () => {
  expect(failed).toThrow(StorageError)
  expect(failed).toThrow(/no daemon runs.*shoal up/)
  expect(() => discoverConnection({ endpoint: 'ftp://x' }, printed)).toThrow(/ftp:/)
  expect(() => discoverConnection({ publicUrl: 'https://x/files' }, printed)).toThrow(/has a path/)
})

test('damaged files are as good as none', () => {
  mkdirSync(join(empty, 'run'))
  for (const text of ['', '{', '[]', 'null', '{"http":5}']) {
    writeFileSync(join(empty, 'run', 'addresses.json'), text)
    expect(() => discoverConnection({}, { SHOAL_HOME: empty })).toThrow(/no daemon runs/)
  }
})
