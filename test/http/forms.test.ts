/** Uploads by browser forms: both kinds of signature, what a policy allows, and what nobody may change. */
import { createHmac, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { amzDateOf, Client, hmac, signingKey, type Answer } from './client.ts'
import { ADMIN } from './fake-backend.ts'
import { RealBackend } from './real-backend.ts'

const backend = new RealBackend()
let server: HttpServer
let client: Client

beforeAll(async () => {
  backend.make('photos')
  backend.make('others')
  backend.addKey('UPLOADER', [
    { bucket: parseBucketName('photos'), prefix: 'up/', verbs: ['write'] },
  ])
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

type Condition = Readonly<Record<string, string>> | readonly (string | number)[]

interface Form {
  readonly key?: string
  readonly conditions?: readonly Condition[]
  readonly fields?: Readonly<Record<string, string>>
  readonly accessKey?: { readonly accessKeyId: string; readonly secret: string }
  readonly expiresMs?: number
}

/** Fields of a form, signed by Version 4. */
function formV4(form: Form): Record<string, string> {
  const { accessKeyId, secret } = form.accessKey ?? ADMIN
  const amzDate = amzDateOf(Date.now())
  const date = amzDate.slice(0, 8)
  const signing = {
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': `${accessKeyId}/${date}/auto/s3/aws4_request`,
    'x-amz-date': amzDate,
  }
  const policy = policyOf(form, signing)
  const signature = hmac(signingKey(secret, date), policy).toString('hex')
  return {
    key: form.key ?? 'up/file',
    ...signing,
    ...form.fields,
    policy,
    'x-amz-signature': signature,
  }
}

function formV2(form: Form): Record<string, string> {
  const { accessKeyId, secret } = form.accessKey ?? ADMIN
  const policy = policyOf(form, {})
  const signature = createHmac('sha1', secret).update(policy).digest('base64')
  return {
    key: form.key ?? 'up/file',
    ...form.fields,
    AWSAccessKeyId: accessKeyId,
    policy,
    signature,
  }
}

function policyOf(form: Form, signing: Readonly<Record<string, string>>): string {
  const conditions = [
    { bucket: 'photos' },
    ['starts-with', '$key', 'up/'],
    ...Object.entries(signing).map(([name, value]) => ({ [name]: value })),
    ...(form.conditions ?? []),
  ]
  const expiration = new Date(form.expiresMs ?? Date.now() + 60_000).toISOString()
  return Buffer.from(JSON.stringify({ expiration, conditions })).toString('base64')
}

function encode(
  fields: Readonly<Record<string, string>>,
  file: Buffer,
  filename = 'cat.png',
): Buffer {
  const parts = Object.entries(fields).map(
    ([name, value]) =>
      `--BOUND\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const head = `--BOUND\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\nContent-Type: image/png\r\n\r\n`
  return Buffer.concat([Buffer.from(parts.join('') + head), file, Buffer.from('\r\n--BOUND--\r\n')])
}

const TYPE = { 'content-type': 'multipart/form-data; boundary=BOUND' }
const post = (
  fields: Readonly<Record<string, string>>,
  file: Buffer = Buffer.from('picture'),
  bucket = 'photos',
): Promise<Answer> =>
  client.send({
    method: 'POST',
    target: `/${bucket}`,
    key: null,
    headers: TYPE,
    body: encode(fields, file),
  })

describe('a form', () => {
  it.each([
    ['Version 4', formV4],
    ['Version 2', formV2],
  ])('signed by %s brings its file', async (_name, sign) => {
    const file = randomBytes(300_000)
    const answer = await post(sign({ key: 'up/${filename}' }), file)
    expect(answer.status, answer.text).toBe(204)
    const got = await client.get('/photos/up/cat.png')
    expect(got.body.equals(file)).toBe(true)
    expect(got.headers['content-type']).toBe('image/png')
    expect(got.headers.etag).toBe(answer.headers.etag)
    await client.send({ method: 'DELETE', target: '/photos/up/cat.png' })
  })

  it('carries headers, metadata, tags and an ACL, where its policy says so', async () => {
    const fields = {
      'Content-Type': 'text/x-test',
      'x-amz-meta-colour': 'grün',
      'Cache-Control': 'no-store',
      acl: 'public-read',
      success_action_status: '201',
      'x-ignore-me': 'whatever',
    }
    const conditions = [
      ['eq', '$Content-Type', 'text/x-test'],
      { 'x-amz-meta-colour': 'grün' },
      ['starts-with', '$Cache-Control', ''],
      { acl: 'public-read' },
      { success_action_status: '201' },
    ]
    const answer = await post(formV4({ fields, conditions }))
    expect(answer.status, answer.text).toBe(201)
    expect(answer.text).toContain('<Key>up/file</Key>')
    const open = await client.send({ target: '/photos/up/file', key: null })
    expect(open.text).toBe('picture')
    expect(open.headers).toMatchObject({
      'content-type': 'text/x-test',
      'cache-control': 'no-store',
    })
    expect(Buffer.from(String(open.headers['x-amz-meta-colour']), 'latin1').toString()).toBe('grün')
  })

  it('sends the browser on', async () => {
    const to = 'https://app.example.org/done?x=1'
    const form = formV4({
      fields: { success_action_redirect: to },
      conditions: [['eq', '$success_action_redirect', to]],
    })
    const answer = await post(form)
    expect(answer.status).toBe(303)
    expect(String(answer.headers.location)).toMatch(
      /^https:\/\/app\.example\.org\/done\?x=1&bucket=photos&key=up%2Ffile&etag=/,
    )
  })

  it('comes in pieces of any size', async () => {
    const file = Buffer.from('\r\n--BOUN\r\n--BOUNDX \r\n\r\n--'.repeat(50))
    const body = encode(formV4({ key: 'up/pieces' }), file)
    const head = `POST /photos HTTP/1.1\r\nHost: ${client.address.host}\r\nContent-Type: ${TYPE['content-type']}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`
    const chunks: Buffer[] = [Buffer.from(head)]
    for (let at = 0; at < body.length; at += 7) {
      const piece = body.subarray(at, at + 7)
      chunks.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
    }
    chunks.push(Buffer.from('0\r\n\r\n'))
    expect(await client.raw(Buffer.concat(chunks))).toMatch(/^HTTP\/1\.1 204 /)
    // what looks like a delimiter ends the file where it is one, and nowhere else
    const got = await client.get('/photos/up/pieces')
    expect(got.body.equals(file.subarray(0, got.body.length))).toBe(true)
    expect(file.subarray(got.body.length).toString()).toMatch(/^\r\n--BOUND/)
  })
})

describe('a form that', () => {
  const codeOf = async (fields: Record<string, string>, bucket = 'photos'): Promise<string> => {
    const answer = await post(fields, Buffer.from('picture'), bucket)
    return `${answer.status} ${answer.code}`
  }

  it('keeps not to its policy is refused', async () => {
    const base = formV4({ key: 'up/refused' })
    const { policy: _policy, ...without } = base
    expect(await codeOf(without)).toBe('403 AccessDenied')
    expect(await codeOf({ ...base, key: 'elsewhere' })).toBe('403 AccessDenied')
    expect(await codeOf({ ...base, acl: 'public-read' })).toBe('403 AccessDenied')
    expect(await codeOf({ ...base, 'x-amz-meta-a': 'b' })).toBe('403 AccessDenied')
    expect(await codeOf(base, 'others')).toBe('403 AccessDenied')
    const late = formV4({ key: 'up/refused', expiresMs: Date.now() - 1000 })
    expect(await codeOf(late)).toBe('403 AccessDenied')
    const unbound = Buffer.from(
      JSON.stringify({
        expiration: '2099-01-01T00:00:00Z',
        conditions: [['starts-with', '$key', '']],
      }),
    ).toString('base64')
    const signature = createHmac('sha1', ADMIN.secret).update(unbound).digest('base64')
    const anyBucket = { key: 'x', AWSAccessKeyId: ADMIN.accessKeyId, policy: unbound, signature }
    expect(await codeOf(anyBucket)).toBe('403 AccessDenied')
  })

  it('is larger or smaller than it may be is refused', async () => {
    const limited = (min: number, max: number): Record<string, string> =>
      formV4({ key: 'up/sized', conditions: [['content-length-range', min, max]] })
    expect((await post(limited(0, 10), Buffer.alloc(11))).code).toBe('EntityTooLarge')
    expect((await post(limited(5, 10), Buffer.alloc(4))).code).toBe('EntityTooSmall')
    expect((await client.send({ method: 'HEAD', target: '/photos/up/sized' })).status).toBe(404)
    expect((await post(limited(5, 10), Buffer.alloc(10))).status).toBe(204)
  })

  it('somebody signed who may not write there is refused', async () => {
    const accessKey = { accessKeyId: 'UPLOADER', secret: 'UPLOADER-secret' }
    const conditions = [['starts-with', '$key', '']]
    expect((await post(formV4({ accessKey, key: 'up/own' }))).status).toBe(204)
    backend.addKey('UPLOADER', [
      { bucket: parseBucketName('photos'), prefix: 'up/own/', verbs: ['write'] },
    ])
    expect(await codeOf(formV4({ accessKey, key: 'up/file', conditions }))).toBe('403 AccessDenied')
    const unknown = { accessKeyId: 'NOBODY', secret: 'x' }
    expect(await codeOf(formV4({ accessKey: unknown }))).toBe('403 InvalidAccessKeyId')
  })

  it.each([
    ['Version 4', formV4],
    ['Version 2', formV2],
  ])(
    'was changed in one character is refused (%s)',
    async (_name, sign) => {
      const form = sign({ key: 'up/changed' })
      for (const name of Object.keys(form)) {
        if (name === 'key') continue
        const value = form[name] ?? ''
        for (let at = 0; at < value.length; at += name === 'policy' ? 5 : 1) {
          const other = value.charAt(at) === 'A' ? 'B' : 'A'
          const altered = value.slice(0, at) + other + value.slice(at + 1)
          const answer = await post({ ...form, [name]: altered })
          expect(answer.status, `${name} ${altered}`).toBe(403)
        }
      }
      expect((await client.send({ method: 'HEAD', target: '/photos/up/changed' })).status).toBe(404)
    },
    60_000,
  )

  it('is none, is cut short, or says too much is refused', async () => {
    const body = encode(formV4({ key: 'up/broken' }), Buffer.alloc(100))
    const raw = async (changed: Buffer | string, type = TYPE['content-type']): Promise<string> => {
      const answer = await client.send({
        method: 'POST',
        target: '/photos',
        key: null,
        headers: { 'content-type': type },
        body: changed,
      })
      return answer.code
    }
    expect(await raw(body, 'text/plain')).toBe('MalformedPOSTRequest')
    expect(await raw(body, 'multipart/form-data')).toBe('MalformedPOSTRequest')
    expect(await raw(body.subarray(0, body.length - 20))).toBe('MalformedPOSTRequest')
    expect(await raw('')).toBe('MalformedPOSTRequest')
    expect(await raw('--BOUND--\r\n')).toBe('MalformedPOSTRequest')
    const large = encode({ x: 'y'.repeat(25_000) }, Buffer.alloc(1))
    expect(await raw(large)).toBe('MaxPostPreDataLengthExceededError')
    const many = encode(
      Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`f${n}`, ''])),
      Buffer.alloc(1),
    )
    expect(await raw(many)).toBe('MaxPostPreDataLengthExceededError')
    expect((await client.send({ method: 'HEAD', target: '/photos/up/broken' })).status).toBe(404)
    expect(
      readdirSync(`${backend.home}/uploads`).every((name) => name.startsWith('uploads.db')),
    ).toBe(true)
  })
})
