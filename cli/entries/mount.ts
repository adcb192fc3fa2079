/**
 * The entry of a mount process: `node mount.js FILE`, where FILE says what to mount (`mount/settings.ts`).
 * It must lead a session of its own and have its output go to a file, so that it outlives who started it.
 */
import { readFileSync } from 'node:fs'
import { runMountProcess } from '../../mount/process.ts'
import { parseMountOptions } from '../../mount/settings.ts'
import { realEnvironment } from '../environment.ts'

const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const options = parseMountOptions(readFileSync(process.argv[2] ?? '', 'utf8'), self)
const status = await runMountProcess(options, realEnvironment, {
  loop: new URL('./mount-loop.js', import.meta.url),
  notifier: new URL('./mount-notifier.js', import.meta.url),
  publisher: new URL('./mount-publisher.js', import.meta.url),
})
// The loop's thread may be inside a system call; there is nothing left that it could lose.
process.exit(status)
