/**
 * Two joined machines with a bucket, and what tests ask of them again and again.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  createReadStream,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import http from 'node:http'
import { join, relative } from 'node:path'
import { StorageError, Storage } from '../../sdk/index.ts'
import { TestMachine, eventually } from '../support/daemon.ts'

export const BUCKET = 'my-app-images'
export const APP = 'my-app'

/** `NAME=value` lines, as `shoal create --app` and `shoal env` print them. */
export const parseEnvironment = (printed: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    printed
      .split('\n')
      .filter((line) => /^[A-Z][A-Z0-9_]*=/.test(line))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )

export class Cluster {
  readonly a: TestMachine = new TestMachine('a')
  readonly b: TestMachine = new TestMachine('b')

  readonly #portsByMachine = new Map<TestMachine, readonly string[]>()

  /** Both up, one bucket with an app, joined. */
  async open(): Promise<void> {
    for (const machine of [this.a, this.b]) {
      const { http, peer, dashboard } = await machine.up()
      const ports = Object.entries({ http, peer, dashboard }).flatMap(([name, url]) => [
        `--${name}`,
        new URL(url).host,
      ])
      this.#portsByMachine.set(machine, ports)
    }
    await this.a.shoal('create', BUCKET, '--app', APP)
    const token = (await this.a.shoal('invite')).trim()
    await this.b.shoal('join', token)
  }

  /** Starts a machine again that ran before, on the same ports, as real machines do. */
  async upAgain(machine: TestMachine): Promise<void> {
    const ports = this.#portsByMachine.get(machine) ?? []
    await machine.up(ports)
  }

  async cleanUp(): Promise<void> {
    await Promise.all([this.a.cleanUp(), this.b.cleanUp()])
  }

  /** @returns the mount point */
  async mount(machine: TestMachine, name = 'mount'): Promise<string> {
    const folder = machine.makeFolder(name)
    await machine.shoal('mount', BUCKET, folder)
    return folder
  }

  /** The SDK as the app on that machine would have it. */
  async storage(
    machine: TestMachine,
    bucket: string = BUCKET,
    app: string = APP,
  ): Promise<Storage> {
    const printed = parseEnvironment(await machine.shoal('env', '--app', app))
    return new Storage(bucket, {
      endpoint: machine.addresses().http,
      accessKeyId: printed['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: printed['AWS_SECRET_ACCESS_KEY'] ?? '',
    })
  }
}

/** Until `get` gives these bytes; errors of a daemon that is starting count as "not yet". */
export async function arrives(
  storage: Storage,
  key: string,
  bytes: Buffer | string,
  timeoutMs = 15_000,
): Promise<void> {
  const wanted = Buffer.from(bytes)
  await eventually(
    `${key} arrives`,
    async () => (await getOrNull(storage, key))?.equals(wanted) === true,
    timeoutMs,
  )
}

async function getOrNull(storage: Storage, key: string): Promise<Buffer | null> {
  try {
    return (await storage.get(key))?.body ?? null
  } catch (cause) {
    if (cause instanceof StorageError && cause.retryable) return null
    throw cause
  }
}

/** What a folder holds, one line an entry: kind, mode, mtime to the nanosecond, target or hash. */
export async function describeTree(folder: string): Promise<string[]> {
  const lines: string[] = []
  for (const path of pathsBelow(folder)) {
    const found = lstatSync(path, { bigint: true })
    const mode = (Number(found.mode) & 0o7777).toString(8)
    const start = `${relative(folder, path)} ${found.mtimeNs}`
    if (found.isSymbolicLink()) lines.push(`${start} link ${readlinkSync(path)}`)
    else if (found.isDirectory()) lines.push(`${start} folder ${mode}`)
    else lines.push(`${start} file ${mode} ${found.size} ${await hashFile(path)}`)
  }
  return lines.sort()
}

/** Everything below a folder, at any depth. */
export const pathsBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))

export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

/**
 * A folder like those that people have: deep and flat parts, empty files and folders, odd names, modes,
 * old times, symlinks, sizes from 0 to some hundred KiB.
 */
export function makeTree(folder: string, files: number): void {
  const random = seededRandom(files)
  mkdirSync(folder, { recursive: true })
  mkdirSync(join(folder, 'empty folder'))
  for (let at = 0; at < files; at += 1) {
    const inside = join(folder, `part-${at % 17}`, at % 5 === 0 ? `deep/er-${at % 3}` : '.')
    mkdirSync(inside, { recursive: true })
    const path = join(inside, `${ODD_NAMES[at % ODD_NAMES.length]}${at}`)
    const size = at % 50 === 0 ? random() % 400_000 : random() % 9_000
    writeFileSync(path, Buffer.alloc(at % 40 === 0 ? 0 : size, `${at},`))
    if (at % 7 === 0) chmodSync(path, at % 2 === 0 ? 0o755 : 0o600)
    if (at % 3 === 0) utimesSync(path, 1_600_000_000 + at, 1_600_000_000 + at + 0.123)
    if (at % 25 === 0) symlinkSync(`../part-3/f${at}`, join(inside, `link-${at}`))
  }
}

const ODD_NAMES = [
  'f',
  'with space ',
  'ünï-',
  '🐟',
  "quo'te",
  'plus+',
  'per%cent',
  '.hidden',
  'a=b&c ',
]

/** Numbers that are the same each time (mulberry32's step, cut to what is needed here). */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return state >>> 4
  }
}

export interface Ran {
  readonly status: number
  readonly output: string
}

/** Runs an ordinary program to its end, both outputs together; never throws for an exit status. */
export async function runOrdinary(
  program: string,
  words: readonly string[],
  folder?: string,
): Promise<Ran> {
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(folder === undefined ? {} : { cwd: folder }),
    env: { ...process.env, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      resolve(code ?? -1)
    })
  })
  return { status, output }
}

export interface Plain {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

/** A plain HTTP request: no SDK, the path as it stands. */
export async function plain(
  url: string,
  {
    method = 'GET',
    body,
    headers = {},
  }: { method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<Plain> {
  const [, origin = '', path = '/'] = /^(http:\/\/[^/]+)(.*)$/.exec(url) ?? []
  return await new Promise((resolve, reject) => {
    const request = http.request(origin, { method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () => {
        const { statusCode = 0, headers } = response
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks) })
      })
    })
    request.once('error', reject)
    request.end(body)
  })
}

/** The code in an S3 error answer. */
export const codeOf = ({ body }: Plain): string =>
  /<Code>([^<]*)<\/Code>/.exec(body.toString())?.[1] ?? ''
