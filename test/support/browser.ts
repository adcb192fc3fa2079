/**
 * A headless Chromium for tests, driven over its own protocol (Chrome DevTools Protocol 1.3): no library, no
 * driver program. Whoever opens one closes it.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { eventually } from './daemon.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** The program, null where there is none. */
export const findBrowser = (): string | null =>
  NAMES.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0) ?? null

const CLOSED_WITHIN_MS = 5_000

interface Answer {
  readonly id?: number
  readonly error?: { readonly message: string }
  readonly result?: Readonly<Record<string, unknown>>
}

export class Browser {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  /** What the page wrote to its console as an error, and what it threw. */
  readonly errors: string[] = []
  #lastId = 0

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.#child = child
    this.#folder = folder
    this.#socket = socket
    socket.on('message', (data) => {
      const text = Buffer.isBuffer(data) ? data.toString('utf8') : ''
      const answer: Answer & { method?: string } = JSON.parse(text)
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer)
      else if (answer.method === 'Runtime.exceptionThrown') this.errors.push(text)
    })
  }

  /** Opens a page of one tab. */
  static async open(program: string, url: string): Promise<Browser> {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-browser-'))
    const child = spawn(
      program,
      [
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--hide-scrollbars',
        '--window-size=1000,760',
        '--remote-debugging-port=0',
        `--user-data-dir=${folder}`,
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8')
    })
    try {
      const port = await eventually(
        'the browser listens',
        () => /DevTools listening on ws:\/\/[^:]+:(\d+)/.exec(said)?.[1],
        30_000,
      )
      const made = await fetch(`http://127.0.0.1:${port}/json/new?about:blank`, { method: 'PUT' })
      const tab: { webSocketDebuggerUrl: string } = JSON.parse(await made.text())
      const socket = new WebSocket(tab.webSocketDebuggerUrl)
      await new Promise((resolve, reject) => {
        socket.once('open', resolve)
        socket.once('error', reject)
      })
      const browser = new Browser(child, folder, socket)
      await browser.#send('Runtime.enable')
      await browser.#send('Page.enable')
      await browser.#send('Page.navigate', { url })
      await browser.until("document.readyState === 'complete'")
      return browser
    } catch (cause) {
      child.kill('SIGKILL')
      throw cause
    }
  }

  /** The value of an expression in the page; a promise's when it is settled. */
  async evaluate(expression: string): Promise<unknown> {
    const parameters = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = await this.#send('Runtime.evaluate', parameters)
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
    return typeof result === 'object' && result !== null && 'value' in result ? result.value : null
  }

  /** Waits until an expression is true. */
  async until(expression: string): Promise<void> {
    await eventually(expression, async () => (await this.evaluate(expression)) === true, 20_000)
  }

  /** Chooses files in an input, as a user does. */
  async chooseFiles(selector: string, files: readonly string[]): Promise<void> {
    const { root } = await this.#send('DOM.getDocument')
    const rootId = typeof root === 'object' && root !== null && 'nodeId' in root ? root.nodeId : 0
    const { nodeId } = await this.#send('DOM.querySelector', { nodeId: rootId, selector })
    await this.#send('DOM.setFileInputFiles', { nodeId, files })
  }

  /** Writes what the page looks like as PNG. */
  async screenshot(path: string): Promise<void> {
    const { data } = await this.#send('Page.captureScreenshot', { format: 'png' })
    writeFileSync(path, Buffer.from(String(data), 'base64'))
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => {
      this.#child.once('exit', resolve)
    })
    // Asked, it ends its helpers first; killed, it would leave them writing into the folder for a while.
    this.#send('Browser.close').catch(() => undefined)
    const late = setTimeout(() => this.#child.kill('SIGKILL'), CLOSED_WITHIN_MS)
    await ended
    clearTimeout(late)
    this.#socket.terminate()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }

  #send(
    method: string,
    parameters: Readonly<Record<string, unknown>> = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ error, result }) => {
        this.#waiting.delete(id)
        if (error === undefined) resolve(result ?? {})
        else reject(new Error(`${method}: ${error.message}`))
      })
      this.#socket.send(JSON.stringify({ id, method, params: parameters }))
    })
  }
}
