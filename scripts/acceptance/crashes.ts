/** kill -9 of the first machine's daemon in the middle of work: what was acknowledged is there, on both. */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run, sleep } from '../machines/machine.ts'
import { BUCKET } from '../machines/lab.ts'
import { formatMs } from '../try/stage.ts'
import { check, describe, hashTree, must, type Proof, sameMap, until } from './proof.ts'

const ROUNDS = 3
const FILES = 1500
const WRITERS = 4
/** Each round kills at another moment. */
const KILL_AFTER_MS = 700

export async function showCrashes(proof: Proof): Promise<void> {
  proof.stage.chapter('kill -9 of the daemon in the middle of work')
  await crashPuts(proof)
  await crashCommand(proof)
  await crashMount(proof)
  await crashJoin(proof)
}

async function crashPuts(proof: Proof): Promise<void> {
  const { here, storageHere, storageThere } = proof.lab
  const acknowledged = new Map<string, string>()
  let slowest = 0
  for (let round = 1; round <= ROUNDS; round += 1) {
    const stop = new AbortController()
    const writers = Array.from({ length: WRITERS }, async (_, writer) => {
      for (let at = 0; !stop.signal.aborted; at += 1) {
        const bytes = randomBytes(at % 5 === 0 ? 300_000 : 700)
        const key = `puts/${round}-${writer}-${at}`
        try {
          await storageHere.put(key, bytes)
          acknowledged.set(key, createHash('sha256').update(bytes).digest('hex'))
        } catch {
          // Not acknowledged: it may be there or not.
        }
      }
    })
    await sleep(KILL_AFTER_MS * round)
    await here.kill()
    slowest = Math.max(slowest, await here.start())
    await sleep(300)
    stop.abort()
    await Promise.all(writers)
  }
  for (const storage of [storageHere, storageThere]) {
    for (const [key, wanted] of acknowledged) {
      await until(key, async () => {
        const body = (await storage.get(key))?.body ?? ''
        return createHash('sha256').update(body).digest('hex') === wanted
      })
    }
  }
  const figures = `${acknowledged.size} acknowledged in ${ROUNDS} crashes, all there on both; answers again after ${formatMs(slowest)} at most`
  proof.stage.good(`HTTP PUTs: ${figures}`)
  proof.figure('kill -9 in the middle of HTTP PUTs', figures)
}

/** A tree of its own for each crash, so that no content is known already. */
function makeSource(proof: Proof, name: string): string {
  const source = join(proof.lab.disk, name)
  for (let at = 0; at < FILES; at += 1) {
    const folder = join(source, `part-${at % 15}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `file-${at}`), randomBytes(at % 50 === 0 ? 200_000 : at))
  }
  return source
}

async function crashCommand(proof: Proof): Promise<void> {
  const { here, there } = proof.lab
  const source = makeSource(proof, 'by-command')
  const wanted = hashTree(source)
  const words = ['cp', '-r', '--json', source, `${BUCKET}:by-command/`]
  const copying = here.shoal(words)
  await until('the copy has begun', () => existsSync(join(here.mount, 'by-command')), 5)
  await sleep(KILL_AFTER_MS)
  await here.kill()
  await here.start()
  const first = await copying
  const copied = Number(/"copied":(\d+)/.exec(first.output)?.[1] ?? 0)
  const arrived = hashTree(join(here.mount, 'by-command'))
  check(arrived.size >= copied, 'what cp -r said is copied is there')
  check(
    [...arrived].every(([name, hash]) => wanted.get(name) === hash),
    'no half object after the crash',
  )
  if (first.status !== 0) await here.must(words)
  check(sameMap(hashTree(join(here.mount, 'by-command')), wanted), 'the second cp -r completed it')
  await until('all of it there', () => sameMap(hashTree(join(there.mount, 'by-command')), wanted))
  const figures =
    first.status === 0
      ? `went on by itself, ${wanted.size} files the same on both`
      : `${copied} of ${wanted.size} copied, then said so (status ${first.status}); again: the same on both`
  proof.stage.good(`shoal cp -r: ${figures}`)
  proof.figure('kill -9 in the middle of shoal cp -r', figures)
}

async function crashMount(proof: Proof): Promise<void> {
  const { here, there } = proof.lab
  const source = makeSource(proof, 'by-mount')
  const copying = run('cp', ['-a', source, here.mount])
  await until('the copy has begun', () => existsSync(join(here.mount, 'by-mount/part-3')), 2)
  await here.kill()
  const copy = await copying
  check(copy.status === 0, `cp -a went on while the daemon was dead: ${copy.errors}`)
  check(
    sameMap(hashTree(join(here.mount, 'by-mount')), hashTree(source)),
    'the mount has all of it',
  )
  const start = performance.now()
  await here.start()
  const arrived = join(there.mount, 'by-mount')
  await until('all of it there', () => sameMap(hashTree(arrived), hashTree(source)))
  check(
    (await describe(arrived)) === (await describe(source)),
    'modes and times are the same there',
  )
  const late = formatMs(performance.now() - start)
  await must('diff', ['-r', source, join(here.mount, 'by-mount')])
  const figures = `the mount went on, ${FILES} files the same on both ${late} after the restart`
  proof.stage.good(`cp -a into the mount: ${figures}`)
  proof.figure('kill -9 in the middle of cp -a into the mount', figures)
}

async function crashJoin(proof: Proof): Promise<void> {
  const { lab, stage } = proof
  const third = lab.newMachine('third')
  await third.start()
  const token = (await lab.here.must(['invite'])).output.trim()
  const joining = third.shoal(['join', token])
  await sleep(300)
  await lab.here.kill()
  const first = await joining
  await lab.here.start()
  // The crash may also have come between the last row and the answer.
  const joined = async (): Promise<boolean> => {
    const { status, errors } = await third.shoal(['join', token])
    return status === 0 || errors.includes('is in it already')
  }
  if (first.status !== 0) await until('the join', joined)
  const listed = async (): Promise<boolean> =>
    (await third.must(['ls', `${BUCKET}:by-command/part-3/`])).output.includes('file-3')
  await until('the bucket on the third machine', listed)
  const figures = `first try ${first.status === 0 ? 'succeeded' : `refused (status ${first.status})`}, the same token again: joined, with the bucket`
  stage.good(`join: ${figures}`)
  proof.figure('kill -9 in the middle of a join', figures)
}
