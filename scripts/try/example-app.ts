/**
 * The program of `examples/express`, started with nothing but its environment, as `shoal env --app`
 * prints it on that machine.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { formWithFile, get } from './fetching.ts'
import { makePicture } from './picture.ts'
import { formatBytes, formatMs } from './stage.ts'
import { APP, type Trial, arrival } from './trial.ts'
import type { Machine } from '../machines/machine.ts'

/** Sides of 1,600 pixels make about 3 MB. */
const PICTURE_SIDE = 1600
/** Node starts in a fraction of this. */
const START_TIMEOUT_MS = 20_000

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
  const child = spawn(process.execPath, [join(root, 'examples', 'express', 'app.js')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      NODE_PATH: packages,
      PORT: '0',
      ...Object.fromEntries(printed),
    },
  })
  const said = { output: '', errors: '' }
  child.stdout.setEncoding('utf8')
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.errors += text
  })
  const address = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(reject, START_TIMEOUT_MS, new Error('the app does not answer'))
    child.stdout.on('data', (text: string) => {
      said.output += text
      const found = /listening on (http:\S+)/.exec(said.output)?.[1]
      if (found === undefined) return
      clearTimeout(timer)
      resolve(found)
    })
    child.once('exit', () => {
      clearTimeout(timer)
      reject(new Error(`the app ended:\n${said.errors}`))
    })
  })
  return {
    address,
    stop() {
      child.kill('SIGKILL')
    },
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
