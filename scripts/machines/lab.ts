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

export const BUCKET = 'bench'

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
  /** One more machine, not started, that is stopped with the others. */
  newMachine(name: string): Machine
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
  const newMachine = (name: string): Machine => {
    const machine = new Machine({ name, folder, program })
    cleanup.add(async () => {
      await machine.stop()
    })
    return machine
  }
  const [here, there] = [newMachine('here'), newMachine('there')]
  for (const machine of [here, there]) await machine.start()
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
  const [storageHere, storageThere] = [await openStorage(here), await openStorage(there)]
  return { here, there, storageHere, storageThere, disk, quick, cleanup, newMachine }
}

/** The SDK as the app on that machine would have it. */
export async function openStorage(machine: Machine, bucket: string = BUCKET): Promise<Storage> {
  const { output } = await machine.must(['env', '--app', BUCKET])
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(output)?.[1] ?? ''
  return new Storage(bucket, {
    endpoint: machine.http,
    accessKeyId: value('AWS_ACCESS_KEY_ID'),
    secretAccessKey: value('AWS_SECRET_ACCESS_KEY'),
  })
}
