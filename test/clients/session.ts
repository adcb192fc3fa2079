/**
 * A daemon and a key for the sessions of real S3 clients, the ways to find these clients, and to run them.
 * `.ci/run` installs what it can and names the places in SHOAL_TEST_PYTHON and SHOAL_TEST_NODE_MODULES;
 * what is not there is skipped, and the reason printed.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { TestMachine } from '../support/daemon.ts'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  /** Both, for messages. */
  readonly output: string
}

/** Sizes on both sides of what clients take as their part size, and of the rows' own bounds. */
export const SIZES: readonly number[] = [
  0,
  1,
  4097,
  5 * 1024 ** 2 - 1,
  5 * 1024 ** 2,
  5 * 1024 ** 2 + 1,
]
/** Larger than every client's threshold for uploads in parts. */
export const LARGE_BYTES: number = 20 * 1024 ** 2 + 7
/** Below this a session hangs, and is killed. */
const COMMAND_MAX_MS = 120_000

export class Session {
  readonly machine: TestMachine
  /** Another bucket than the one that `--app` made, for copies. */
  readonly bucket = 'session-bucket'
  #endpoint = ''
  #key = { accessKeyId: '', secretAccessKey: '' }
  #appVariables: Readonly<Record<string, string>> = {}

  constructor(name: string) {
    this.machine = new TestMachine(name)
  }

  async open(flags: readonly string[] = []): Promise<void> {
    this.#endpoint = (await this.machine.up(flags)).http
    const key: unknown = JSON.parse(
      readFileSync(join(this.machine.home, 'run', 'local-key.json'), 'utf8'),
    )
    this.#key = readKey(key)
    const text = await this.machine.shoal('create', 'app-bucket', '--app', 'clients')
    this.#appVariables = Object.fromEntries(
      [...text.matchAll(/^(?:export )?([A-Z_0-9]+)=(.*)$/gm)].map(([, name = '', value = '']) => [
        name,
        value.replace(/^(['"])(.*)\1$/, '$2'),
      ]),
    )
  }

  get endpoint(): string {
    return this.#endpoint
  }

  /** Host and port, as some clients want them. */
  get host(): string {
    return this.#endpoint.replace(/^http:\/\//, '')
  }

  get key(): { readonly accessKeyId: string; readonly secretAccessKey: string } {
    return this.#key
  }

  /** What an app's key is told, `AWS_ACCESS_KEY_ID` and so on. */
  get app(): Readonly<Record<string, string>> {
    return this.#appVariables
  }

  /** Variables of a client that may do everything. */
  get variables(): Record<string, string> {
    return {
      AWS_ACCESS_KEY_ID: this.#key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: this.#key.secretAccessKey,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: join(this.machine.folder, 'no-config'),
      AWS_SHARED_CREDENTIALS_FILE: join(this.machine.folder, 'no-credentials'),
      HOME: this.machine.folder,
    }
  }

  /** A file of random bytes in the machine's folder. */
  makeFile(name: string, size: number): { readonly path: string; readonly bytes: Buffer } {
    const bytes = randomBytes(size)
    const path = join(this.machine.folder, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, bytes)
    return { path, bytes }
  }

  path(name: string): string {
    return join(this.machine.folder, name)
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name))
  }

  /** Runs a client; never throws for a status. */
  run(
    program: string,
    words: readonly string[],
    options: { variables?: Readonly<Record<string, string>>; input?: string } = {},
  ): Promise<Ran> {
    return new Promise((resolve) => {
      const child = execFile(
        program,
        [...words],
        {
          env: { ...bareVariables(), ...this.variables, ...options.variables },
          cwd: this.machine.folder,
          timeout: COMMAND_MAX_MS,
          killSignal: 'SIGKILL',
          maxBuffer: 256 * 1024 * 1024,
          encoding: 'utf8',
        },
        (_cause, stdout, stderr) => {
          const output = `${program} ${words.join(' ')}\n${stdout}${stderr}`
          resolve({ status: child.exitCode ?? -1, stdout, stderr, output })
        },
      )
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(options.input ?? '')
    })
  }

  /** As `run`, for what must succeed. @returns standard output */
  async must(...words: readonly [string, ...string[]]): Promise<string> {
    const [program, ...rest] = words
    const ran = await this.run(program, rest)
    if (ran.status !== 0) {
      throw new Error(`ended with ${ran.status}: ${ran.output}\n${this.machine.log().slice(-2000)}`)
    }
    return ran.stdout
  }

  async close(): Promise<void> {
    await this.machine.cleanUp()
  }
}

function readKey(value: unknown): { accessKeyId: string; secretAccessKey: string } {
  const { accessKeyId, secretAccessKey } = Object(value)
  return { accessKeyId: String(accessKeyId), secretAccessKey: String(secretAccessKey) }
}

/** Ours without what would lead a client elsewhere, or stop it (rclone 1.60 refuses any AWS_CA_BUNDLE). */
function bareVariables(): Record<string, string | undefined> {
  const variables: Record<string, string | undefined> = { ...process.env }
  for (const name of Object.keys(variables)) {
    if (/^(?:SHOAL|AWS|RCLONE|RESTIC)_|_PROXY$|_proxy$/.test(name)) delete variables[name]
  }
  return variables
}

/** The programs of that name: Debian's, and that of PyPI in the place that `.ci/run` names, else on the path. */
export function programsNamed(name: string): string[] {
  const python = process.env['SHOAL_TEST_PYTHON']
  const others =
    python === undefined ? (process.env['PATH'] ?? '').split(delimiter) : [join(python, '..')]
  const found = ['/usr/bin', ...others]
    .map((folder) => join(folder, name))
    .filter((path) => existsSync(path))
  const byFile = new Map(found.toReversed().map((path) => [statSync(path).ino, path]))
  return [...byFile.values()].toReversed()
}

/** Where `.ci/run` has put packages of npm, null where it has not. */
export function clientModules(): string | null {
  const folder = process.env['SHOAL_TEST_NODE_MODULES']
  return folder !== undefined && existsSync(folder) ? folder : null
}
