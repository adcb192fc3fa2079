/** The gallery of `examples/express` as its users have it: in a browser, on two machines, one of them stopped. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type RunningApp } from '../../scripts/try/example-app.ts'
import { get } from '../../scripts/try/fetching.ts'
import { makePicture } from '../../scripts/try/picture.ts'
import { Browser, findBrowser } from '../support/browser.ts'
import { eventually } from '../support/daemon.ts'
import { saySkipped } from '../support/skipping.ts'
import { hashHex, presignQuery, signHeaders } from '../../sdk/http/signature.ts'
import { APP, BUCKET, Cluster, parseEnvironment } from './cluster.ts'

const root = new URL('../..', import.meta.url).pathname.replace(/\/$/, '')
const program = findBrowser()
if (program === null) saySkipped('the gallery in a browser', 'no Chromium is installed')
const cluster = new Cluster()
const apps: RunningApp[] = []
/** Where screenshots go, for people to look at. */
const pictures = process.env['SHOAL_SCREENSHOTS'] ?? join(root, 'dist', 'screenshots')

beforeAll(async () => {
  await cluster.open()
  for (const machine of [cluster.a, cluster.b]) {
    apps.push(await startApp(root, machine.folder, await machine.shoal('env', '--app', APP)))
  }
  mkdirSync(pictures, { recursive: true })
})
afterAll(async () => {
  for (const app of apps) app.stop()
  await cluster.cleanUp()
})

const address = (at: number): string => apps[at]?.address ?? ''

/** The names that the page shows, when all its pictures have been loaded. */
const SHOWN = `JSON.stringify([...document.querySelectorAll('figure')]
  .filter((figure) => figure.querySelector('img').naturalWidth > 0)
  .map((figure) => figure.querySelector('.name').textContent))`

describe.skipIf(program === null)('in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await Browser.open(program ?? '', address(0))
  })
  afterAll(async () => {
    await browser.close()
  })

  const file = (name: string, side: number): string => {
    const path = join(cluster.a.makeFolder('chosen'), name)
    writeFileSync(path, makePicture(side, side))
    return path
  }
  const shown = async (): Promise<unknown> => JSON.parse(String(await browser.evaluate(SHOWN)))
  const click = async (name: string, button: string): Promise<void> => {
    await browser.evaluate(
      `[...document.querySelectorAll('figure')]
        .find((figure) => figure.querySelector('.name').textContent === ${JSON.stringify(name)})
        .querySelector('${button}').click()`,
    )
  }

  test('pictures are chosen, uploaded with their progress, and shown', async () => {
    await browser.until("document.getElementById('message').textContent === 'No pictures yet.'")
    await browser.evaluate(
      `window.steps = []
       new MutationObserver(() => {
         for (const line of document.querySelectorAll('#uploads li')) window.steps.push(line.textContent.trim())
       }).observe(document.getElementById('uploads'), { childList: true })`,
    )
    const names = ['Sea & sky.jpg', '<b>not bold</b>.jpg', 'ünïcode 🐟.jpg']
    const files = names.map((name, at) => file(name.replaceAll('/', '∕'), 200 + 60 * at))
    await browser.chooseFiles('#files', files)
    await eventually('all three are shown', async () => {
      const list = await shown()
      return Array.isArray(list) && list.length === 3
    })
    expect(await shown()).toContain('Sea & sky.jpg')
    const steps = String(await browser.evaluate('JSON.stringify(window.steps)'))
    expect(steps).toContain('Sea & sky.jpg')
    expect(await browser.evaluate("document.querySelectorAll('.name b').length")).toBe(0)
    expect(await browser.evaluate("document.querySelectorAll('#uploads li').length")).toBe(0)
    await browser.screenshot(join(pictures, 'gallery.png'))
  })

  test('a link is shared that works without the app, and a picture deleted', async () => {
    await click('Sea & sky.jpg', '.share')
    await browser.until(
      "document.querySelector('.link:not([hidden])')?.value.startsWith('http') === true",
    )
    const link = String(
      await browser.evaluate("document.querySelector('.link:not([hidden])').value"),
    )
    const direct = await get(link)
    expect([direct.status, direct.type]).toEqual([200, 'image/jpeg'])
    await browser.screenshot(join(pictures, 'gallery-shared.png'))
    await click('ünïcode 🐟.jpg', '.delete')
    await browser.until("document.querySelectorAll('figure').length === 2")
    expect((await get(link)).status).toBe(200)
    expect(browser.errors).toEqual([])
  })

  test('what is no picture is refused, and said', async () => {
    const text = join(cluster.a.makeFolder('chosen'), 'page.svg')
    writeFileSync(text, '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    await browser.chooseFiles('#files', [text])
    await browser.until("document.getElementById('message').textContent.includes('page.svg')")
    expect(await browser.evaluate("document.querySelectorAll('figure').length")).toBe(2)
  })

  test('the same app shows it on the second machine while the first is stopped', async () => {
    await eventually('the second machine has both', async () => {
      const answer = await get(`${address(1)}/pictures`)
      return answer.body.toString().split('"name"').length === 3
    })
    for (const name of ['Sea & sky.jpg', '<b>not bold<∕b>.jpg']) {
      await eventually(`${name} has arrived`, async () => {
        const answer = await get(`${address(1)}/pictures/${encodeURIComponent(name)}`)
        return answer.status === 200
      })
    }
    await cluster.a.stop()
    const second = await Browser.open(program ?? '', address(1))
    try {
      await eventually('both are shown there', async () => {
        const list: unknown = JSON.parse(String(await second.evaluate(SHOWN)))
        return Array.isArray(list) && list.length === 2
      })
      await second.chooseFiles('#files', [file('while-away.jpg', 120)])
      await second.until("document.querySelectorAll('figure').length === 3")
      await second.screenshot(join(pictures, 'gallery-second-machine.png'))
      expect(second.errors).toEqual([])
    } finally {
      await second.close()
    }
    await cluster.upAgain(cluster.a)
    await eventually('the first one has it when it is back', async () => {
      const answer = await get(`${address(0)}/pictures/while-away.jpg`)
      return answer.status === 200
    })
  })
})

describe.skipIf(program === null)('a page of another origin', () => {
  test('follows changes with EventSource, where a CORS rule of the bucket lets it', async () => {
    const printed = parseEnvironment(await cluster.a.shoal('env', '--app', APP))
    const signer = {
      accessKeyId: printed['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: printed['AWS_SECRET_ACCESS_KEY'] ?? '',
      region: 'auto',
    }
    const { origin, host } = new URL(cluster.a.addresses().http)
    const path = `/${BUCKET}`
    const rule = `<CORSConfiguration><CORSRule><AllowedOrigin>${address(0)}</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`
    const put = { method: 'PUT', host, path, query: new Map([['cors', '']]) }
    const payloadHash = hashHex(Buffer.from(rule))
    const headers = signHeaders(put, signer, new Date(), { headers: {}, payloadHash })
    const set = await get(`${origin}${path}?cors=`, {
      method: 'PUT',
      headers,
      body: Buffer.from(rule),
    })
    expect([set.status, set.body.toString()]).toEqual([200, ''])
    const feed = { method: 'GET', host, path, query: new Map([['changes', '']]) }
    const url = `${origin}${path}?${presignQuery(feed, signer, new Date(), 900)}`
    const browser = await Browser.open(program ?? '', address(0))
    try {
      await browser.evaluate(
        `window.told = []
         window.source = new EventSource(${JSON.stringify(url)})
         window.source.onmessage = ({ data }) => window.told.push(JSON.parse(data))`,
      )
      await browser.until("window.told[0]?.type === 'ready'")
      await (await cluster.storage(cluster.a)).put('from/afar', 'text')
      await browser.until(
        "window.told.some(({ type, key }) => type === 'put' && key === 'from/afar')",
      )
    } finally {
      await browser.close()
    }
  })
})

describe('without a browser', () => {
  const put = async (
    name: string,
    body: Buffer,
    headers: Record<string, string>,
  ): Promise<number> =>
    (
      await get(`${address(1)}/pictures/${name}`, {
        method: 'PUT',
        headers: { 'content-length': String(body.length), ...headers },
        body,
      })
    ).status

  test('users see their own pictures only; wrong types, sizes and names are refused', async () => {
    const picture = makePicture(64, 1)
    const type = { 'content-type': 'image/jpeg' }
    expect(await put('mine.jpg', picture, { ...type, 'x-user-id': 'ada' })).toBe(201)
    const other = await get(`${address(1)}/pictures/mine.jpg`, { headers: { 'x-user-id': 'bob' } })
    expect(other.status).toBe(404)
    const own = await get(`${address(1)}/pictures/mine.jpg`, { headers: { 'x-user-id': 'ada' } })
    expect([own.status, own.body.equals(picture)]).toEqual([200, true])
    expect(await put('x.html', picture, { 'content-type': 'text/html' })).toBe(415)
    expect(await put('n'.repeat(201), picture, type)).toBe(400)
    expect((await get(`${address(1)}/pictures/none/link`)).status).toBe(404)
  })
})
