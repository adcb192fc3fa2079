/** Counts the calls that change something on disk, and kills this process before the n-th (0: never). */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { Database } from '../../../dist/volume/names/tables/database.js'

const CHANGING = `chmodSync fchmodSync fdatasync fdatasyncSync fsync fsyncSync ftruncateSync link linkSync
  mkdirSync rename renameSync rmSync rmdirSync truncateSync unlinkSync write writeFileSync writeSync`

let calls = 0
const sayNow = fs.writeSync

/** What was done so far: what the test takes as acknowledged. */
export const say = (line) => sayNow(1, `${line}\n`)

/** @returns a function that says how many calls there were */
export function countCalls(killBefore) {
  const call = () => {
    calls += 1
    if (calls === killBefore) process.kill(process.pid, 'SIGKILL')
  }
  for (const name of CHANGING.split(/\s+/)) {
    const real = fs[name]
    fs[name] = Object.assign((...given) => {
      call()
      return real(...given)
    }, real)
  }
  syncBuiltinESMExports()
  const run = Reflect.get(Database.prototype, 'run')
  Database.prototype.run = function (...given) {
    if (given[0] === 'COMMIT') call()
    const changed = Reflect.apply(run, this, given)
    if (given[0] === 'COMMIT') call()
    return changed
  }
  return () => say(`${calls} calls`)
}
