/**
 * The program of `examples/express`, started with nothing but its environment, as `shoal env --app`
 * prints it on that machine.
 */
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { formWithFile, get } from './fetching.ts'
import { makePicture } from './picture.ts'
import { formatBytes, formatMs } from './stage.ts'
import { APP, type Trial, arrival } from './trial.ts'
import { type Machine, sleep } from '../machines/machine.ts'

/** Sides of 1,600 pixels make about 3 MB. */
const PICTURE_SIDE = 1600
/** Node starts in a fraction of this. */
const START_TIMEOUT_MS = 20_000
const APP_PID = 'app.pid'

export interface RunningApp {
  readonly address: string
  stop(): void
}

/**
 * Starts the app.
 * @param folder where a `node_modules` for it may lie: its `require('shoal')` finds this repository there
 * @param environment what `shoal env --app` printed, as `NAME=value` lines
 */
export async function startApp(
  root: string,
  folder: string,
  environment: string,
): Promise<RunningApp> {
  const packages = join(folder, 'node_modules')
  mkdirSync(packages, { recursive: true })
  if (!existsSync(join(packages, 'shoal'))) symlinkSync(root, join(packages, 'shoal'))
  const printed = environment.split('\n').flatMap((line) => {
    const at = line.indexOf('=')
    return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : []
  })
  const logPath = join(folder, 'app.log')
  const log = openSync(logPath, 'w')
  // A group of its own, and a file for its words: with --keep it outlives the trial.
  const child = spawn(process.execPath, [join(root, 'examples', 'express', 'app.js')], {
    detached: true,
    stdio: ['ignore', log, log],
    env: {
      PATH: process.env['PATH'],
      NODE_PATH: packages,
      PORT: '0',
      ...Object.fromEntries(printed),
    },
  })
  closeSync(log)
  child.unref()
  writeFileSync(join(folder, APP_PID), String(child.pid))
  const address = await waitForAddress(logPath, () => child.exitCode !== null)
  return {
    address,
    stop() {
      child.kill('SIGKILL')
    },
  }
}

async function waitForAddress(logPath: string, ended: () => boolean): Promise<string> {
  const start = performance.now()
  for (;;) {
    const said = readFileSync(logPath, 'utf8')
    const found = /listening on (http:\S+)/.exec(said)?.[1]
    if (found !== undefined) return found
    if (ended()) throw new Error(`the app ended:\n${said}`)
    if (performance.now() - start > START_TIMEOUT_MS) throw new Error('the app does not answer')
    await sleep(20)
  }
}

/** Stops an app that an earlier trial left in its folder, if it is still that one. */
export function stopLeftApp(folder: string): void {
  try {
    const pid = Number(readFileSync(join(folder, APP_PID), 'utf8'))
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    if (pid > 1 && command.includes(join('examples', 'express', 'app.js')))
      process.kill(pid, 'SIGKILL')
  } catch {
    // There is none, or it has ended by itself.
  }
}

/** The last chapter: uploaded on one machine, shown by the same program on the other. */
export async function runApp(trial: Trial): Promise<void> {
  const { stage, berlin, tokyo } = trial
  stage.chapter('The app: an Express program, the same on both machines')
  const here = await showStart(trial, berlin)
  const there = await showStart(trial, tokyo)
  const picture = makePicture(PICTURE_SIDE, 7)
  const size = formatBytes(picture.length)
  stage.command(berlin.name, `curl -H 'x-user-id: 7' -F profilePic=@me.jpg ${here.address}/upload`)
  const form = formWithFile('profilePic', { name: 'me.jpg', type: 'image/jpeg', bytes: picture })
  const start = performance.now()
  const uploaded = await get(`${here.address}/upload`, {
    method: 'POST',
    headers: { ...form.headers, 'x-user-id': '7' },
    body: form.body,
  })
  const taken = performance.now()
  if (uploaded.status !== 200)
    throw new Error(`the upload gave ${uploaded.status}: ${uploaded.body.toString()}`)
  stage.answer(uploaded.body.toString().slice(0, 120))
  stage.good(`a picture of ${size}, put by the app in ${formatMs(taken - start)}`)
  stage.command(tokyo.name, `curl -o back.jpg ${there.address}/images/7/profile.jpg`)
  const same = async (): Promise<boolean> => {
    const shown = await get(`${there.address}/images/7/profile.jpg`)
    return shown.status === 200 && shown.type === 'image/jpeg' && shown.body.equals(picture)
  }
  const ms = await arrival('the picture', taken, same)
  stage.good(`served in Tokyo as image/jpeg, byte for byte, ${formatMs(ms)} after the upload`)
  const url = /"url":"([^"]+)"/.exec(uploaded.body.toString())?.[1] ?? ''
  const direct = await get(url)
  if (!direct.body.equals(picture)) throw new Error(`the app's URL gave ${direct.status}`)
  stage.good('the URL that the app answered with shows it as well')
  const missing = await get(`${there.address}/images/nobody/profile.jpg`)
  if (missing.status !== 404) throw new Error(`a missing picture gave ${missing.status}`)
}

async function showStart(trial: Trial, machine: Machine): Promise<RunningApp> {
  const { stage, cleanup, root, folder } = trial
  stage.command(machine.name, `env $(shoal env --app ${APP}) node app.js &`)
  const printed = await machine.must(['env', '--app', APP])
  const app = await startApp(root, join(folder, machine.name), printed.output)
  cleanup.add(() => {
    app.stop()
  })
  stage.answer(`listening on ${app.address}`)
  return app
}
