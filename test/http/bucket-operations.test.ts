/** What is asked and set about a bucket: making and removing, settings, CORS. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { Client, type Answer } from './client.ts'
import { RealBackend } from './real-backend.ts'

const backend = new RealBackend()
let server: HttpServer
let client: Client

beforeAll(async () => {
  backend.make('things')
  backend.addKey('APP', [
    {
      bucket: parseBucketName('things'),
      prefix: '',
      verbs: ['read', 'write', 'list', 'delete'],
    },
  ])
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const app = { accessKeyId: 'APP', secret: 'APP-secret' }
const send = (method: string, target: string, body?: string): Promise<Answer> =>
  client.send({ method, target, ...(body === undefined ? {} : { body }) })
const answerOf = async (method: string, target: string, body?: string): Promise<string> => {
  const { status, code } = await send(method, target, body)
  return `${status} ${code}`.trim()
}

describe('making and removing', () => {
  it('takes the right to, and says of a bucket of its own that it is there', async () => {
    const asApp = (method: string, target: string): Promise<Answer> =>
      client.send({ method, target, key: app })
    expect((await asApp('PUT', '/things')).code).toBe('BucketAlreadyOwnedByYou')
    expect((await asApp('PUT', '/other-bucket')).code).toBe('AccessDenied')
    expect((await asApp('DELETE', '/things')).code).toBe('AccessDenied')
    const anonymous = await client.send({ method: 'PUT', target: '/mine', key: null })
    expect(anonymous.code).toBe('AccessDenied')
  })

  it('makes, shows, and removes when empty', async () => {
    const region =
      '<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>'
    expect(await answerOf('PUT', '/fresh', region)).toBe('200')
    expect((await send('HEAD', '/fresh')).headers['x-amz-bucket-region']).toBe('auto')
    expect((await send('GET', '/')).text).toContain('<Name>fresh</Name>')
    await client.put('/fresh/x', 'x')
    expect(await answerOf('DELETE', '/fresh')).toBe('409 BucketNotEmpty')
    await send('DELETE', '/fresh/x')
    expect(await answerOf('DELETE', '/fresh')).toBe('204')
    expect((await send('HEAD', '/fresh')).status).toBe(404)
    expect((await send('HEAD', '/fresh')).headers['x-amz-error-code']).toBe('NoSuchBucket')
    expect(await answerOf('PUT', '/Not_A_Name')).toBe('400 InvalidBucketName')
    expect(await answerOf('PUT', '/fresh', '<Other/>')).toBe('400 MalformedXML')
  })

  it('makes public ones', async () => {
    const headers = { 'x-amz-acl': 'public-read' }
    const made = await client.send({ method: 'PUT', target: '/open-bucket', headers })
    expect(made.status).toBe(200)
    await client.put('/open-bucket/x', 'everybody')
    expect((await client.send({ target: '/open-bucket/x', key: null })).text).toBe('everybody')
    expect((await send('GET', '/open-bucket?policyStatus')).text).toContain('>true<')
    expect((await send('GET', '/things?policyStatus')).text).toContain('>false<')
    expect((await send('GET', '/open-bucket?acl')).text).toContain('AllUsers')
    const shut = { 'x-amz-acl': 'private' }
    await client.send({ method: 'PUT', target: '/open-bucket?acl', headers: shut })
    expect((await client.send({ target: '/open-bucket/x', key: null })).status).toBe(403)
  })
})

describe('settings', () => {
  it.each([
    ['location', '200'],
    ['acl', '200'],
    ['versioning', '200'],
    ['requestPayment', '200'],
    ['logging', '200'],
    ['notification', '200'],
    ['accelerate', '200'],
    ['policy', '404 NoSuchBucketPolicy'],
    ['cors', '404 NoSuchCORSConfiguration'],
    ['tagging', '404 NoSuchTagSet'],
    ['publicAccessBlock', '404 NoSuchPublicAccessBlockConfiguration'],
    ['ownershipControls', '404 OwnershipControlsNotFoundError'],
    ['encryption', '404 ServerSideEncryptionConfigurationNotFoundError'],
    ['replication', '404 ReplicationConfigurationNotFoundError'],
    ['object-lock', '404 ObjectLockConfigurationNotFoundError'],
    ['inventory', '501 NotImplemented'],
    ['analytics', '501 NotImplemented'],
    ['metrics', '501 NotImplemented'],
    ['intelligent-tiering', '501 NotImplemented'],
  ])('GET ?%s says %s', async (name, answer) => {
    expect(await answerOf('GET', `/things?${name}`)).toBe(answer)
  })

  it('takes what is so anyway, and refuses what would be a promise', async () => {
    const status = (value: string): string =>
      `<VersioningConfiguration><Status>${value}</Status></VersioningConfiguration>`
    expect(await answerOf('PUT', '/things?versioning', status('Suspended'))).toBe('200')
    expect(await answerOf('PUT', '/things?versioning', status('Enabled'))).toBe(
      '501 NotImplemented',
    )
    expect(await answerOf('PUT', '/things?policy', '{}')).toBe('501 NotImplemented')
    expect(await answerOf('DELETE', '/things?policy')).toBe('204')
    expect(await answerOf('PUT', '/things?encryption', '<x/>')).toBe('400 MalformedXML')
    expect(await answerOf('POST', '/things')).toBe('405 MethodNotAllowed')
    expect(await answerOf('PATCH', '/things/x')).toBe('405 MethodNotAllowed')
    expect(await answerOf('POST', '/things/x?restore')).toBe('501 NotImplemented')
    expect(await answerOf('PUT', '/things/x?retention')).toBe('501 NotImplemented')
    expect(await answerOf('PUT', '/things?torrent')).toBe('501 NotImplemented')
    expect((await send('HEAD', '/things')).status).toBe(200)
  })

  it('keeps tags', async () => {
    const tags =
      '<Tagging><TagSet><Tag><Key>team</Key><Value>ocean</Value></Tag></TagSet></Tagging>'
    expect(await answerOf('PUT', '/things?tagging', tags)).toBe('204')
    expect((await send('GET', '/things?tagging')).text).toContain('<Value>ocean</Value>')
    expect(await answerOf('DELETE', '/things?tagging')).toBe('204')
    expect(await answerOf('GET', '/things?tagging')).toBe('404 NoSuchTagSet')
  })
})

describe('CORS', () => {
  const rules =
    '<CORSConfiguration><CORSRule><ID>app</ID><AllowedOrigin>https://*.example.org</AllowedOrigin>' +
    '<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>' +
    '<AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Content-Type</AllowedHeader>' +
    '<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule>' +
    '<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>'
  const preflight = (origin: string, method: string, headers?: string): Promise<Answer> =>
    client.send({
      method: 'OPTIONS',
      target: '/things/any/key',
      key: null,
      headers: {
        origin,
        'access-control-request-method': method,
        ...(headers === undefined ? {} : { 'access-control-request-headers': headers }),
      },
    })

  it('has none until somebody sets some', async () => {
    expect((await preflight('https://app.example.org', 'PUT')).code).toBe('AccessForbidden')
    const got = await client.get('/things/x', { origin: 'https://app.example.org' })
    expect(got.headers['access-control-allow-origin']).toBe(undefined)
  })

  it('answers preflights and marks answers as the rules say', async () => {
    const made = await client.send({ method: 'PUT', target: '/things?cors', body: rules, key: app })
    expect(made.status, made.text).toBe(200)
    expect((await send('GET', '/things?cors')).text).toContain('<ID>app</ID>')
    const yes = await preflight('https://app.example.org', 'PUT', 'X-Amz-Date, content-type')
    expect(yes.status).toBe(200)
    expect(yes.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example.org',
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'x-amz-date, content-type',
      'access-control-max-age': '60',
    })
    expect((await preflight('https://evil.org', 'PUT')).status).toBe(403)
    expect((await preflight('https://app.example.org', 'DELETE')).status).toBe(403)
    expect((await preflight('https://app.example.org', 'PUT', 'x-other')).status).toBe(403)
    expect((await preflight('https://anybody.net', 'HEAD')).headers).toMatchObject({
      'access-control-allow-origin': '*',
    })
    await client.put('/things/x', 'x')
    const got = await client.get('/things/x', { origin: 'https://a.example.org' })
    expect(got.headers['access-control-allow-origin']).toBe('https://a.example.org')
    expect(got.headers['access-control-expose-headers']).toBe('ETag')
    expect(got.headers['access-control-allow-credentials']).toBe(undefined)
    const refused = await client.send({
      target: '/things/x',
      key: null,
      headers: { origin: 'https://a.example.org' },
    })
    expect(refused.status).toBe(403)
    expect(refused.headers['access-control-allow-origin']).toBe('https://a.example.org')
    expect(await answerOf('DELETE', '/things?cors')).toBe('204')
    expect((await preflight('https://app.example.org', 'PUT')).status).toBe(403)
  })

  it('refuses rules that mean nothing', async () => {
    const put = (inside: string): Promise<string> =>
      answerOf('PUT', '/things?cors', `<CORSConfiguration>${inside}</CORSConfiguration>`)
    expect(await put('')).toBe('400 MalformedXML')
    expect(await put('<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>')).toBe(
      '400 MalformedXML',
    )
    const rule = (origin: string, method: string): string =>
      `<CORSRule><AllowedOrigin>${origin}</AllowedOrigin><AllowedMethod>${method}</AllowedMethod></CORSRule>`
    expect(await put(rule('*', 'TRACE'))).toBe('400 InvalidRequest')
    expect(await put(rule('http://*.*', 'GET'))).toBe('400 InvalidRequest')
    expect(await put(rule('a&#13;&#10;b', 'GET'))).toBe('400 MalformedXML')
  })
})
