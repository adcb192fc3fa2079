/**
 * One of the machines of the trial: a daemon with a home of its own, and the commands that are typed
 * there. Everything goes through the command line, as a user would do it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, closeSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A daemon that does not answer within this says why in its log. */
const START_TIMEOUT_MS = 20_000
/** A daemon that was told to stop and goes on for so long hangs. */
const STOP_TIMEOUT_MS = 5_000
const DOWN = ['down', '--force']
/** No command of a trial takes longer, unless it says so; one that does hangs. */
const COMMAND_TIMEOUT_MS = 120_000

export interface Answer {
  readonly status: number
  readonly output: string
  readonly errors: string
  readonly ms: number
}

export interface MachineOptions {
  readonly name: string
  /** Everything of this machine lies below it. */
  readonly folder: string
  /** `dist/cli/main.js` */
  readonly program: string
}

export class Machine {
  readonly name: string
  readonly home: string
  /** Where the bucket is mounted. */
  readonly mount: string
  readonly #program: string
  readonly #log: string
  #pid: number | null = null
  #ports: readonly string[] = DOORS.flatMap((door) => [`--${door}`, '127.0.0.1:0'])

  constructor({ name, folder, program }: MachineOptions) {
    this.name = name
    this.home = join(folder, name, 'home')
    this.mount = join(folder, name, 'images')
    this.#log = join(folder, name, 'daemon.log')
    this.#program = program
    mkdirSync(this.mount, { recursive: true })
    mkdirSync(this.home, { recursive: true, mode: 0o700 })
  }

  /**
   * Starts the daemon, first on free ports and later on the same ones, as real machines do.
   * @returns after how many milliseconds it answered
   */
  async start(): Promise<number> {
    const start = performance.now()
    const log = openSync(this.#log, 'a')
    const words = ['up', '--name', this.name, ...this.#ports]
    // A group of its own: Ctrl-C is for the trial, which then stops the daemon in order.
    const child = spawn(process.execPath, [this.#program, ...words], {
      detached: true,
      stdio: ['ignore', log, log],
      env: this.environment(),
    })
    closeSync(log)
    this.#pid = child.pid ?? null
    let ended = false
    child.once('exit', () => {
      ended = true
    })
    child.unref()
    while (this.#addresses()?.['pid'] !== this.#pid) {
      if (ended) throw new Error(`the daemon of ${this.name} ended:\n${this.log()}`)
      if (performance.now() - start > START_TIMEOUT_MS) {
        throw new Error(`the daemon of ${this.name} does not answer:\n${this.log()}`)
      }
      await sleep(20)
    }
    const addresses = this.#addresses() ?? {}
    this.#ports = DOORS.flatMap((door) => [`--${door}`, new URL(String(addresses[door])).host])
    return performance.now() - start
  }

  /** Types `shoal WORDS` on this machine. A status other than 0 is an answer, too. */
  async shoal(words: readonly string[], input?: string): Promise<Answer> {
    return await run(process.execPath, [this.#program, ...words], {
      environment: this.environment(),
      input,
    })
  }

  /** The same for taking things down, out of the reach of an impatient second Ctrl-C. */
  async undo(words: readonly string[]): Promise<Answer> {
    return await run(process.execPath, [this.#program, ...words], {
      environment: this.environment(),
      detached: true,
    })
  }

  /** The same, where anything but success is a failure of the trial. */
  async must(words: readonly string[], input?: string): Promise<Answer> {
    const answer = await this.shoal(words, input)
    if (answer.status === 0) return answer
    const said = [answer.errors, answer.output].filter(Boolean).join('\n')
    throw new Error(`shoal ${words.join(' ')} on ${this.name} gave ${answer.status}:\n${said}`)
  }

  /** `http://127.0.0.1:PORT`, where this machine's daemon serves objects. */
  get http(): string {
    return String(this.#addresses()?.['http'])
  }

  /** The environment of this machine's programs; nothing of the caller's own shoal leaks in. */
  environment(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(
      ([name]) => !/^(SHOAL_|AWS_|BUCKET_NAME$|NODE_OPTIONS$)/.test(name),
    )
    return { ...Object.fromEntries(own), SHOAL_HOME: this.home }
  }

  /** The end of the daemon's log. */
  log(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8').slice(-3000) : ''
  }

  /** Stops the daemon, by force if it must be. */
  async stop(): Promise<void> {
    if (this.#pid === null) return
    const pid = this.#pid
    this.#pid = null
    const isDown = existsSync(join(this.home, 'run')) && (await this.undo(DOWN)).status === 0
    // One that is only just starting hears no command yet.
    if (!isDown && isAlive(pid)) process.kill(pid, 'SIGTERM')
    for (let waited = 0; isAlive(pid) && waited < STOP_TIMEOUT_MS; waited += 20) await sleep(20)
    if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  }

  /** kill -9, as a crash: mounts go on. */
  async kill(): Promise<void> {
    await this.#signal('SIGKILL')
  }

  /** Ends the daemon in order, as a service manager does before it starts a newer one: mounts go on. */
  async stopDaemon(): Promise<void> {
    await this.#signal('SIGTERM')
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    const pid = this.#pid
    this.#pid = null
    if (pid === null) return
    process.kill(pid, signal)
    while (isAlive(pid)) await sleep(5)
  }

  #addresses(): Record<string, unknown> | null {
    try {
      const value: unknown = JSON.parse(
        readFileSync(join(this.home, 'run', 'addresses.json'), 'utf8'),
      )
      return typeof value === 'object' && value !== null ? { ...value } : null
    } catch {
      return null
    }
  }
}

const DOORS = ['http', 'peer', 'dashboard']

export const sleep = async (ms: number): Promise<void> => {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

interface RunOptions {
  readonly environment?: NodeJS.ProcessEnv
  readonly input?: string | undefined
  readonly folder?: string
  /** In a process group of its own: signals of the terminal do not reach it. */
  readonly detached?: boolean
  readonly timeoutMs?: number
}

/** Programs that run now, for whoever must end before them. */
const running = new Set<ChildProcess>()

/** Ends the programs that run: one that writes into a mount keeps what is mounted there alive. */
export async function endPrograms(): Promise<void> {
  const ends = [...running].map(async (child) => {
    const ended = once(child, 'close')
    child.kill('SIGKILL')
    await ended
  })
  await Promise.allSettled(ends)
}

/** Runs a program to its end and collects what it prints. */
export async function run(
  program: string,
  words: readonly string[],
  { environment, input, folder, detached = false, timeoutMs = COMMAND_TIMEOUT_MS }: RunOptions = {},
): Promise<Answer> {
  const start = performance.now()
  const child = spawn(program, words, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
    detached,
    ...(environment === undefined ? {} : { env: environment }),
    ...(folder === undefined ? {} : { cwd: folder }),
  })
  running.add(child)
  child.once('close', () => running.delete(child)).once('error', () => running.delete(child))
  const parts = { output: '', errors: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    parts.output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    parts.errors += text
  })
  // A program that never reads its input is no failure.
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      resolve(code ?? 128)
    })
  })
  return { status, ...parts, ms: performance.now() - start }
}
