/** Presigned URLs: where they work, and everything that they must refuse. */
import { BUCKET, openStorage } from '../machines/lab.ts'
import { sleep } from '../machines/machine.ts'
import { get } from '../try/fetching.ts'
import { check, type Proof, until } from './proof.ts'

export async function showUrls(proof: Proof): Promise<void> {
  const { here, there, storageHere, storageThere } = proof.lab
  proof.stage.chapter('Presigned URLs')
  const text = 'for whoever has the link'
  await storageHere.put('url/a.txt', text)
  await until('the object', async () => (await storageThere.get('url/a.txt')) !== null)
  const urls = {
    SDK: storageHere.url('url/a.txt', { expires: 600 }),
    command: (await here.must(['url', `${BUCKET}:url/a.txt`, '-e', '600'])).output.trim(),
    'command on B': (await there.must(['url', `${BUCKET}:url/a.txt`, '-e', '600'])).output.trim(),
  }
  for (const [maker, url] of Object.entries(urls)) {
    for (const machine of [here, there]) {
      const { status, body } = await get(moved(url, machine.http))
      check(status === 200 && body.toString() === text, `the URL of ${maker} works everywhere`)
    }
  }
  proof.stage.good('made by the SDK and by command, they work on both machines')
  const refused = await refuseAltered(urls.SDK)
  proof.stage.good(`refused: ${refused.join(', ')}`)
  const short = storageHere.url('url/a.txt', { expires: 1 })
  await sleep(2500)
  check((await get(short)).status === 403, 'an expired URL is refused')
  await putByUrl(proof)
  const none = await get(storageHere.url('url/none'))
  check(none.status === 404 && codeOf(none.body) === 'NoSuchKey', 'a missing key is NoSuchKey')
  const nowhere = await get((await openStorage(here, 'no-such-bucket')).url('a.txt'))
  check(
    nowhere.status === 404 && codeOf(nowhere.body) === 'NoSuchBucket',
    'a missing bucket is NoSuchBucket',
  )
  proof.stage.good('expired: 403; no such key: 404 NoSuchKey; no such bucket: 404 NoSuchBucket')
  proof.figure(
    'presigned URLs',
    `work on both machines; ${refused.length} alterations, another method and expiry refused`,
  )
}

/** The same URL, asked of another machine. */
const moved = (url: string, origin: string): string => url.replace(/^http:\/\/[^/]+/, origin)

const codeOf = (body: Buffer): string => /<Code>([^<]*)</.exec(body.toString())?.[1] ?? ''

const flip = (digit: string): string => (digit === '0' ? '1' : '0')

/** @returns the names of what was altered, each of which was refused */
async function refuseAltered(url: string): Promise<readonly string[]> {
  const altered: Readonly<Record<string, string>> = {
    key: url.replace('url/a.txt', 'url/b.txt'),
    bucket: url.replace(`/${BUCKET}/`, '/other-bucket/'),
    expiry: url.replace('Expires=600', 'Expires=601'),
    date: url.replace(/(X-Amz-Date=\d{8}T\d{5})(\d)/, (_, a: string, d: string) => a + flip(d)),
    credential: url.replace(/(Credential=\w{6})(\w)/, (_, a: string, d: string) => a + flip(d)),
    region: url.replace('%2Fauto%2F', '%2Fnorth%2F'),
    signature: url.replace(/(Signature=)(\w)/, (_, a: string, d: string) => a + flip(d)),
    'a parameter more': `${url}&response-content-type=text%2Fhtml`,
    'no signature': url.replace(/&X-Amz-Signature=\w+/, ''),
    'no query': url.replace(/\?.*/, ''),
  }
  for (const [what, changed] of Object.entries(altered)) {
    check(changed !== url, `${what} was altered`)
    const { status } = await get(changed)
    check(status === 403 || status === 400, `altered in ${what} it is refused, not ${status}`)
  }
  for (const method of ['PUT', 'DELETE', 'POST']) {
    const { status } = await get(url, { method, body: Buffer.from('x') })
    check(status >= 400 && status < 500, `a GET URL refuses ${method}, not ${status}`)
  }
  return Object.keys(altered)
}

async function putByUrl({ lab, stage }: Proof): Promise<void> {
  const { storageHere, storageThere } = lab
  const url = storageThere.url('url/put.txt', { method: 'PUT', expires: 60 })
  const put = await get(url, { method: 'PUT', body: Buffer.from('put by URL') })
  check(put.status === 200, 'a PUT URL stores')
  await until(
    'what it stored',
    async () => (await storageHere.get('url/put.txt'))?.text() === 'put by URL',
  )
  check((await get(url)).status === 403, 'a PUT URL does not read')
  check((await get(url, { method: 'DELETE' })).status === 403, 'a PUT URL does not delete')
  stage.good('a PUT URL stores its key, and neither reads nor removes it')
}
