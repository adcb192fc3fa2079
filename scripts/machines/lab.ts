/**
 * What a measurement has: two joined machines with one bucket, mounted on both where that is possible, a
 * folder on the same disk, and whatever must be undone.
 */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Storage } from '../../sdk/index.ts'
import { type Cleanup, removeFolder } from './cleanup.ts'
import { Machine } from './machine.ts'
import { missingForMounts } from './requirements.ts'

const BUCKET = 'bench'

export interface Lab {
  readonly here: Machine
  readonly there: Machine
  readonly storageHere: Storage
  readonly storageThere: Storage
  /** A folder of the local disk that holds the homes, too. */
  readonly disk: string
  /** Less of everything, to see whether it works. */
  readonly quick: boolean
  readonly cleanup: Cleanup
}

/** Why rows that need a mount are left out, or null. */
export const whyNoMounts = (): string | null => missingForMounts()

/** Starts and joins the machines. The caller runs `cleanup` in any case. */
export async function openLab(cleanup: Cleanup, quick: boolean): Promise<Lab> {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-bench-'))
  cleanup.add(() => {
    removeFolder(folder)
  })
  const program = join(import.meta.dirname, '..', '..', 'cli', 'main.js')
  const [here, there] = ['here', 'there'].map((name) => new Machine({ name, folder, program }))
  if (here === undefined || there === undefined) throw new Error('two machines are needed')
  for (const machine of [here, there]) {
    cleanup.add(async () => {
      await machine.stop()
    })
    await machine.start()
  }
  await here.must(['create', BUCKET, '--app', BUCKET])
  const token = (await here.must(['invite'])).output.trim()
  await there.must(['join', token])
  if (whyNoMounts() === null) {
    for (const machine of [here, there]) {
      await machine.must(['mount', BUCKET, machine.mount])
      cleanup.add(async () => {
        await machine.undo(['unmount', machine.mount, '--force'])
      })
    }
  }
  const disk = join(folder, 'disk')
  mkdirSync(disk)
  const [storageHere, storageThere] = [await storageOf(here), await storageOf(there)]
  return { here, there, storageHere, storageThere, disk, quick, cleanup }
}

async function storageOf(machine: Machine): Promise<Storage> {
  const { output } = await machine.must(['env', '--app', BUCKET])
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(output)?.[1] ?? ''
  return new Storage(BUCKET, {
    endpoint: machine.http,
    accessKeyId: value('AWS_ACCESS_KEY_ID'),
    secretAccessKey: value('AWS_SECRET_ACCESS_KEY'),
  })
}
