/**
 * Real daemons for tests: `node dist/cli/main.js up` as a child process with a home of its own in a
 * temporary folder and free ports. Build first (`npx tsc -p tsconfig.build.json`). Whoever starts one
 * calls `cleanUp` in `afterEach`/`afterAll`; it also unmounts what is left below the folder.
 */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { killMountProcesses, unmountBelow } from './mounts.ts'

/** The built program; SHOAL_PROGRAM names another build of it, an installed package for instance. */
export const PROGRAM: string =
  process.env['SHOAL_PROGRAM'] ?? fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

const STARTED_WITHIN_MS = 20_000
const STOPPED_WITHIN_MS = 20_000

export interface TestAddresses {
  readonly http: string
  readonly peer: string
  readonly dashboard: string
  readonly pid: number
}

export interface CommandResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  /** Standard input. */
  readonly input?: string | Buffer
  readonly cwd?: string
  readonly variables?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

/** One machine: a folder with a home, mount points and files, and at most one daemon. */
export class TestMachine {
  readonly name: string
  #folder: string | null = null
  #child: ChildProcess | null = null
  #log = ''

  constructor(name: string) {
    this.name = name
  }

  /** Everything of this machine is below; made when it is first asked for, since tests may be skipped. */
  get folder(): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), `shoal-${this.name}-`))
    return this.#folder
  }

  get home(): string {
    return join(this.folder, 'home')
  }

  /** All that its daemons wrote to standard error so far. */
  log(): string {
    return this.#log
  }

  addresses(): TestAddresses {
    const path = join(this.home, 'run', 'addresses.json')
    const value: TestAddresses = JSON.parse(readFileSync(path, 'utf8'))
    return value
  }

  /** Starts the daemon and waits until it answers everywhere. */
  async up(
    flags: readonly string[] = [],
    variables: Readonly<Record<string, string>> = {},
  ): Promise<TestAddresses> {
    const path = join(this.home, 'run', 'addresses.json')
    rmSync(path, { force: true })
    const ports = ['--http', '--peer', '--dashboard'].flatMap((flag) =>
      flags.includes(flag) ? [] : [flag, '127.0.0.1:0'],
    )
    const words = ['up', '--home', this.home, '--name', this.name, ...ports, ...flags]
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...variablesFor(this.home), ...variables },
    })
    this.#child = child
    child.stderr.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString('utf8')
    })
    const deadline = Date.now() + STARTED_WITHIN_MS
    while (!existsSync(path)) {
      if (child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`the daemon of ${this.name} did not start:\n${this.#log}`)
      }
      await pause(20)
    }
    return this.addresses()
  }

  /** Runs `shoal …` against this machine; never throws for an exit status. */
  async run(words: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return await runProgram(words, {
      ...options,
      variables: { SHOAL_HOME: this.home, ...options.variables },
    })
  }

  /** As `run`, for what must succeed. @returns standard output */
  async shoal(...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(words)
    if (status !== 0) {
      throw new Error(`shoal ${words.join(' ')} ended with ${status}:\n${stderr}\n${this.#log}`)
    }
    return stdout
  }

  /** A new folder of this machine, for a mount point or files. */
  makeFolder(name: string): string {
    const path = join(this.folder, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  /** kill -9: as a crash. Mounts go on. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM: a clean stop of the daemon alone. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Stops everything and removes the folder; safe to call in any state, and twice. */
  async cleanUp(): Promise<void> {
    if (this.#folder === null) return
    if (this.#child !== null && this.#child.exitCode === null) {
      await this.run(['down', '--force'], { timeoutMs: STOPPED_WITHIN_MS })
    }
    await this.#end('SIGKILL')
    unmountBelow(this.folder)
    killMountProcesses(this.home)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => {
        resolve()
      })
    })
    child.kill(signal)
    const late = setTimeout(() => {
      child.kill('SIGKILL')
    }, STOPPED_WITHIN_MS)
    await ended
    clearTimeout(late)
  }
}

/** Runs `shoal …` without a machine. */
export function runProgram(
  words: readonly string[],
  { input, cwd, variables, timeoutMs = 60_000 }: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [PROGRAM, ...words],
      {
        env: { ...variablesFor(null), ...variables },
        cwd,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 256 * 1024 * 1024,
        encoding: 'utf8',
      },
      (_, stdout, stderr) => {
        resolve({ status: child.exitCode ?? -1, stdout, stderr })
      },
    )
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input ?? '')
  })
}

/** Waits until `check` returns something other than null, undefined and false. */
export async function eventually<Value>(
  what: string,
  check: () => Value | null | undefined | false | Promise<Value | null | undefined | false>,
  timeoutMs = 10_000,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const value = await check()
    if (value !== null && value !== undefined && value !== false) return value
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`)
    await pause(20)
  }
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/** The caller's variables without those that would lead a command to another daemon or app. */
function variablesFor(home: string | null): Record<string, string | undefined> {
  const variables: Record<string, string | undefined> = { ...process.env }
  for (const name of Object.keys(variables)) {
    if (/^(SHOAL|AWS)_|^BUCKET_NAME$/.test(name)) delete variables[name]
  }
  if (home !== null) variables['SHOAL_HOME'] = home
  return variables
}
