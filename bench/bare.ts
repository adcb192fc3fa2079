/** Starts the bare server (`bare-server.ts`) and stops it with everything else. */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Lab } from '../scripts/machines/lab.ts'

/** @returns its address, `http://127.0.0.1:PORT` */
export async function startBare({ disk, cleanup }: Lab, name: string): Promise<URL> {
  const folder = join(disk, name)
  mkdirSync(folder)
  const program = join(import.meta.dirname, 'bare-server.js')
  const child = spawn(process.execPath, [program, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
  cleanup.add(() => {
    child.kill('SIGKILL')
  })
  const port = await new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => {
      reject(new Error('the bare server ended'))
    })
    child.stdout.setEncoding('utf8').once('data', (text: string) => {
      resolve(text.trim())
    })
  })
  return new URL(`http://127.0.0.1:${port}`)
}
