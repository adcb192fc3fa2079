/**
 * Real mounts for tests, without a daemon: a mount process on a home of its own in a temporary folder, and
 * where a test wants one, a stand-in for the daemon that speaks the control socket. Build first
 * (`npx tsc -p tsconfig.build.json`). Whoever starts one calls `cleanUp`, which leaves neither mount nor
 * process behind, whatever the test did.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { realEnvironment } from '../../../cli/environment.ts'
import { newSourceId, parseBucketName, parseNodeId, parseStreamId } from '../../../protocol/ids.ts'
import { openStores } from '../../../mount/files/stores.ts'
import type { OpenedStores } from '../../../mount/files/stores.ts'
import { parseSettings } from '../../../mount/settings.ts'
import type { Caller } from '../../../volume/volume.ts'
import { unmountBelow, whyNoMounts } from '../../support/mounts.ts'
import { saySkipped } from '../../support/skipping.ts'

const ENTRY = fileURLToPath(new URL('../../../dist/cli/entries/mount.js', import.meta.url))
export const STREAM: string = '5'.repeat(32)
export const NODE: string = '6'.repeat(32)
const STARTED_WITHIN_MS = 20_000
const ENDED_WITHIN_MS = 20_000

/** Why mounts cannot be tested here, null when they can; printed where tests are skipped. */
export function whyNoTestMounts(): string | null {
  const why =
    whyNoMounts() ??
    (process.getuid?.() === 0 ? null : 'not root') ??
    (existsSync(ENTRY) ? null : 'dist/ is not built')
  if (why !== null) saySkipped('tests of real mounts', why)
  return why
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/** Asks again until it is so. @throws the last failure of `check` */
export async function eventually(check: () => void, timeoutMs = 5000): Promise<void> {
  const end = Date.now() + timeoutMs
  for (;;) {
    try {
      check()
      return
    } catch (cause) {
      if (Date.now() > end) throw cause
    }
    await pause(20)
  }
}

export interface TestMountOptions {
  readonly options?: readonly string[]
  readonly prefix?: string
  /** A folder of an earlier one, to mount its home again. */
  readonly folder?: string
  readonly uid?: number
}

export class TestMount {
  readonly folder: string
  readonly home: string
  /** The mounted folder. */
  readonly directory: string
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>
  readonly #stores: OpenedStores[] = []

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder
    this.home = join(folder, 'home')
    this.directory = join(folder, 'mnt')
    this.#child = child
    this.#ended = new Promise((resolve) => {
      child.once('exit', resolve)
    })
  }

  /** Resolves when the mount answers. @throws with its log when it ends instead */
  static async start(settings: TestMountOptions = {}): Promise<TestMount> {
    const mount = TestMount.launch(settings)
    await mount.ready()
    return mount
  }

  /** Starts the process and does not wait. */
  static launch({ options = [], prefix = '', folder, uid }: TestMountOptions = {}): TestMount {
    const base = folder ?? mkdtempSync(join(tmpdir(), 'shoal-mount-'))
    const home = join(base, 'home')
    mkdirSync(join(home, 'run', 'mounts'), { recursive: true })
    // A dead mount on it would answer ENOTCONN, so that a folder that was used before is left alone.
    if (folder === undefined) mkdirSync(join(base, 'mnt'))
    const file = join(home, 'run', 'mounts', 'test.json')
    writeFileSync(
      file,
      JSON.stringify({
        mountId: 'test',
        home,
        stream: STREAM,
        node: NODE,
        bucketName: 'test-bucket',
        prefix,
        directory: join(base, 'mnt'),
        options,
      }),
    )
    const log = openSync(join(base, 'log'), 'a')
    const child = spawn(process.execPath, [ENTRY, file], {
      detached: true,
      stdio: ['ignore', log, log],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
    closeSync(log)
    return new TestMount(base, child)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async ready(): Promise<void> {
    const end = Date.now() + STARTED_WITHIN_MS
    while (!this.isMounted()) {
      if (this.isOver() || Date.now() > end) throw new Error(`no mount: ${this.log()}`)
      await pause(10)
    }
  }

  isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** By mountinfo: looking at the folder itself may hang. */
  isMounted(): boolean {
    return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${this.directory} `)
  }

  log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts)
  }

  /** The same bucket, opened by this process, as the daemon does it. */
  stores(): OpenedStores & { readonly caller: Caller } {
    const stores = openStores(
      {
        mountId: 'other',
        home: this.home,
        stream: parseStreamId(STREAM),
        node: parseNodeId(NODE),
        bucketName: parseBucketName('test-bucket'),
        prefix: '',
        directory: this.directory,
        settings: parseSettings([], { uid: 0, gid: 0 }),
      },
      realEnvironment,
    )
    this.#stores.push(stores)
    const caller = { source: newSourceId(realEnvironment.randomBytes(8)) }
    return { ...stores, caller }
  }

  /** The exit status, null when a signal ended it. */
  async ended(): Promise<number | null> {
    const timeout = pause(ENDED_WITHIN_MS).then(() => {
      throw new Error(`the mount process did not end: ${this.log()}`)
    })
    return await Promise.race([this.#ended, timeout])
  }

  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return await this.ended()
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended()
  }

  /** Ends it, keeping the folder for a next one. */
  async halt(): Promise<void> {
    for (const stores of this.#stores.splice(0)) stores.close()
    if (!this.isOver()) {
      await this.stop().catch(async () => {
        await this.kill()
      })
    }
    unmountBelow(this.folder)
  }

  async cleanUp(): Promise<void> {
    await this.halt()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
