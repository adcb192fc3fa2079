/**
 * The chapters of the trial, in order. Each types what a user would type, shows what came back, and
 * checks that it is what was promised; a check that fails ends the trial.
 */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { get } from './fetching.ts'
import { formatBytes, formatMs } from './stage.ts'
import { APP, BUCKET, type Trial, arrival, measureTree, type, typeOrdinary } from './trial.ts'

export async function startMachines({ stage, cleanup, berlin, tokyo }: Trial): Promise<void> {
  stage.chapter('Two machines')
  stage.say('Each has a home of its own, a key pair, and a daemon. Nothing sits in the middle.')
  for (const machine of [berlin, tokyo]) {
    cleanup.add(async () => {
      await machine.stop()
    })
    stage.command(machine.name, 'shoal up &')
    const ms = await machine.start()
    stage.good(`answers at ${machine.http} after ${formatMs(ms)}`)
  }
}

export async function createBucket(trial: Trial): Promise<void> {
  const { stage, berlin } = trial
  stage.chapter('A bucket for an app')
  const answer = await type(trial, berlin, ['create', BUCKET, '--app', APP])
  check(/^AWS_ACCESS_KEY_ID=/m.test(answer.output), 'create printed the environment of the app')
  stage.good('that is the environment which the app needs, on every machine')
}

export async function joinMachines(trial: Trial): Promise<void> {
  const { stage, berlin, tokyo } = trial
  stage.chapter('The second machine joins')
  const token = (await type(trial, berlin, ['invite'])).output.trim()
  const shown = 'shoal join TOKEN'
  const joined = await type(trial, tokyo, ['join', token], { shown })
  const buckets = await type(trial, tokyo, ['buckets'])
  check(buckets.output.includes(BUCKET), 'the second machine has the bucket')
  stage.good(`joined, with buckets and keys, in ${formatMs(joined.ms)}`)
}

export async function mountBoth(trial: Trial): Promise<void> {
  const { stage, cleanup, berlin, tokyo } = trial
  stage.chapter('The bucket as a folder, on both')
  for (const machine of [berlin, tokyo]) {
    cleanup.add(async () => {
      await machine.undo(['unmount', machine.mount, '--force'])
    })
    await type(trial, machine, ['mount', BUCKET, machine.mount], {
      shown: `shoal mount ${BUCKET} images`,
    })
  }
  await type(trial, tokyo, ['mounts'])
}

/** A folder of real files, of this repository: texts, code and packages, some thousand. */
function gatherFiles({ root, folder }: Trial): string {
  const source = join(folder, 'holiday')
  mkdirSync(source)
  const names = ['docs', 'examples', 'protocol', 'volume', 'daemon', 'sdk', 'README.md', 'LICENSE']
  for (const name of names.filter((name) => existsSync(join(root, name)))) {
    cpSync(join(root, name), join(source, name), { recursive: true, preserveTimestamps: true })
  }
  const packages = [
    'express',
    'mime',
    'mime-db',
    'qs',
    'iconv-lite',
    'commander',
    'valibot',
    'saxes',
  ]
  for (const name of packages.filter((name) => existsSync(join(root, 'node_modules', name)))) {
    const copy = join(source, 'packages', name)
    cpSync(join(root, 'node_modules', name), copy, { recursive: true, preserveTimestamps: true })
  }
  return source
}

export async function copyThrough(trial: Trial): Promise<void> {
  const { stage, berlin, tokyo } = trial
  const source = gatherFiles(trial)
  const { files, bytes } = measureTree(source)
  stage.chapter('Files copied in here, read and changed there')
  const start = performance.now()
  const copied = await typeOrdinary(trial, berlin, {
    shown: 'cp -a holiday images/',
    program: 'cp',
    words: ['-a', source, berlin.mount],
  })
  const rate = formatBytes(bytes / (copied.ms / 1000))
  stage.good(`${files} files, ${formatBytes(bytes)} in ${formatMs(copied.ms)} (${rate}/s)`)
  const there = join(tokyo.mount, 'holiday')
  const all = (): boolean => existsSync(there) && measureTree(there).files === files
  const ms = await arrival('the folder', start + copied.ms, all)
  stage.good(`all of them in tokyo's folder ${formatMs(ms)} after the copy had ended`)
  await typeOrdinary(trial, tokyo, {
    shown: 'ls images/holiday',
    program: 'ls',
    words: ['-x', there],
  })
  await typeOrdinary(trial, tokyo, {
    shown: 'diff -r ../berlin/holiday images/holiday',
    program: 'diff',
    words: ['-r', '--no-dereference', source, there],
  })
  stage.good('not one byte differs')
  await changeThere(trial)
  await showLatency(trial)
}

async function changeThere({ stage, berlin, tokyo }: Trial): Promise<void> {
  const name = readdirSync(join(tokyo.mount, 'holiday')).find((entry) => entry.endsWith('.md'))
  const path = join('holiday', name ?? 'note.md')
  stage.command(tokyo.name, `echo 'changed in Tokyo' >> images/${path}`)
  const start = performance.now()
  appendFileSync(join(tokyo.mount, path), 'changed in Tokyo\n')
  const seen = (): boolean => readFileSync(join(berlin.mount, path), 'utf8').endsWith('Tokyo\n')
  const ms = await arrival('the change', start, seen)
  stage.command(berlin.name, `tail -1 images/${path}`)
  stage.answer(readFileSync(join(berlin.mount, path), 'utf8').split('\n').at(-2) ?? '')
  stage.good(`seen in Berlin ${formatMs(ms)} after it was written in Tokyo`)
}

/** Small changes one after another: how long each took to arrive. */
async function showLatency({ stage, berlin, tokyo }: Trial): Promise<void> {
  const times: number[] = []
  for (let round = 0; round < 40; round += 1) {
    const name = `change-${round}.txt`
    writeFileSync(join(berlin.mount, name), `change ${round}`)
    const closed = performance.now()
    const path = join(tokyo.mount, name)
    const seen = (): boolean => existsSync(path) && readFileSync(path, 'utf8') === `change ${round}`
    times.push(await arrival(name, closed, seen))
  }
  times.sort((a, b) => a - b)
  const at = (share: number): string => formatMs(times[Math.floor((times.length - 1) * share)] ?? 0)
  stage.good(
    `40 small changes, from close() here to readable there: median ${at(0.5)}, slowest ${at(1)}`,
  )
}

export async function useCommands(trial: Trial): Promise<void> {
  const { stage, berlin, tokyo, folder } = trial
  stage.chapter('The same objects by command')
  const note = join(folder, 'note.txt')
  writeFileSync(note, 'Hello from Berlin.\n')
  const copied = await type(trial, berlin, ['cp', note, `${BUCKET}:notes/hello.txt`], {
    shown: `shoal cp note.txt ${BUCKET}:notes/hello.txt`,
  })
  const start = performance.now()
  const visible = async (): Promise<boolean> =>
    (await tokyo.shoal(['stat', `${BUCKET}:notes/hello.txt`])).status === 0
  await arrival('the note', start, visible)
  stage.good(`stored in ${formatMs(copied.ms)}, and on tokyo already`)
  await type(trial, tokyo, ['ls', '-l', `${BUCKET}:notes/`])
  const read = await type(trial, tokyo, ['cat', `${BUCKET}:notes/hello.txt`])
  check(read.output === 'Hello from Berlin.\n', 'tokyo reads what berlin wrote')
  await type(trial, tokyo, ['stat', `${BUCKET}:notes/hello.txt`])
  if (trial.mounts) {
    check(
      statSync(join(tokyo.mount, 'notes/hello.txt')).size === 19,
      'it is a file in the folder, too',
    )
    stage.good('and it is a file in both folders: images/notes/hello.txt')
  }
}

/** Without mounts, a folder still goes in by one command. */
export async function copyByCommand(trial: Trial): Promise<void> {
  const { stage, berlin, tokyo } = trial
  const source = gatherFiles(trial)
  const { files, bytes } = measureTree(source)
  stage.chapter('A folder of files, by command')
  const copied = await type(trial, berlin, ['cp', '-r', source, `${BUCKET}:holiday/`], {
    shown: `shoal cp -r holiday ${BUCKET}:holiday/`,
  })
  stage.good(`${files} files, ${formatBytes(bytes)} in ${formatMs(copied.ms)}`)
  await type(trial, tokyo, ['ls', `${BUCKET}:holiday/`])
}

export async function signUrl(trial: Trial): Promise<void> {
  const { stage, berlin, tokyo } = trial
  stage.chapter('A signed URL, from either machine')
  const answer = await type(trial, berlin, ['url', `${BUCKET}:notes/hello.txt`])
  const url = new URL(answer.output.trim())
  const elsewhere = new URL(url.pathname + url.search, tokyo.http)
  for (const [machine, address] of [
    [berlin, url],
    [tokyo, elsewhere],
  ] as const) {
    stage.command(machine.name, `curl '${address.origin}${address.pathname}?...'`)
    const { status, body, type } = await get(address.href)
    check(status === 200 && body.toString() === 'Hello from Berlin.\n', 'the URL works')
    stage.answer(`${status} ${type}: ${body.toString()}`)
  }
  const altered = elsewhere.href.replace('hello.txt', 'other.txt')
  const refused = await get(altered)
  check(refused.status === 403, 'an altered URL is refused')
  stage.good('it works on the machine that did not make it; altered, it is refused (403)')
}

/** @throws Error naming what does not hold */
function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`this does not hold: ${what}`)
}
