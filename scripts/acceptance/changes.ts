/** Changes that arrive: small ones at once, and all of them after a machine was away. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sleep } from '../machines/machine.ts'
import { formatMs } from '../try/stage.ts'
import { check, hashTree, type Proof, sameMap, until } from './proof.ts'

const CHANGES = 200
/** Between two changes, so that each is on its own. */
const PAUSE_MS = 15
const AWAY_FILES = 500

/** From close() here to listed and readable with its content there. */
export async function showLatency(proof: Proof): Promise<void> {
  const { here, there } = proof.lab
  proof.stage.chapter(`${CHANGES} small changes, each on its own`)
  const [from, to] = [join(here.mount, 'small'), join(there.mount, 'small')]
  mkdirSync(from)
  await until('the folder', () => existsSync(to), 1)
  const times: number[] = []
  for (let at = 0; at < CHANGES; at += 1) {
    const name = `change-${at}.txt`
    writeFileSync(join(from, name), `change ${at}`)
    const closed = performance.now()
    const seen = (): boolean =>
      readdirSync(to).includes(name) && readFileSync(join(to, name), 'utf8') === `change ${at}`
    await until(name, seen, 1)
    times.push(performance.now() - closed)
    await sleep(PAUSE_MS)
  }
  times.sort((a, b) => a - b)
  const at = (share: number): string => formatMs(times[Math.ceil(times.length * share) - 1] ?? 0)
  const figures = `p50 ${at(0.5)}, p99 ${at(0.99)}, slowest ${at(1)}`
  proof.stage.good(figures)
  proof.figure(`${CHANGES} changes, close() here to listed and read there`, figures)
}

/** One machine off while the other works, and the other way round. */
export async function showAbsence(proof: Proof): Promise<void> {
  const { here, there } = proof.lab
  proof.stage.chapter('A machine that is off')
  for (const [name, off, on] of [
    ['B off, changes on A, B on', there, here],
    ['A off, changes on B, A on', here, there],
  ] as const) {
    const folder = name.charAt(0) === 'B' ? 'while-b' : 'while-a'
    mkdirSync(join(on.mount, folder))
    writeFileSync(join(on.mount, folder, 'goes'), 'goes')
    await until('the folder', () => existsSync(join(off.mount, folder, 'goes')))
    await off.stopDaemon()
    for (let at = 0; at < AWAY_FILES; at += 1) {
      writeFileSync(join(on.mount, folder, `file-${at}`), `${name} ${at}`)
    }
    rmSync(join(on.mount, folder, 'goes'))
    writeFileSync(
      join(off.mount, folder, 'meanwhile'),
      'written in the mount of a daemon that is off',
    )
    const start = performance.now()
    await off.start()
    const up = performance.now() - start
    const same = (): boolean => {
      const [left, right] = [join(on.mount, folder), join(off.mount, folder)]
      return existsSync(join(left, 'meanwhile')) && sameMap(hashTree(left), hashTree(right))
    }
    await until(name, same)
    check(!existsSync(join(off.mount, folder, 'goes')), 'what was removed is gone on both')
    const late = performance.now() - start
    const figures = `all ${AWAY_FILES + 2} changes on both ${formatMs(late)} after it was started (${formatMs(up)} to answer)`
    proof.stage.good(`${name}: ${figures}`)
    proof.figure(name, figures)
  }
}
