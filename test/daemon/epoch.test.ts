/** Rule 26 on a real mount: the kernel has cached a name that is gone, and the daemon makes it look again. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { increaseEpoch } from '../../daemon/mounts/epoch.ts'
import { newName, newSourceId, parseNodeId, parseStreamId, ROOT_INO } from '../../protocol/ids.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import { openVolume } from '../../volume/open.ts'
import { TestMachine } from '../support/daemon.ts'
import { whyNoMounts } from '../support/mounts.ts'
import { saySkipped } from '../support/skipping.ts'

const missing = whyNoMounts()
if (missing !== null) saySkipped('test/daemon/epoch.test.ts', missing)

const FILES = 20

describe.skipIf(missing !== null)('a name that the kernel has cached', () => {
  const machine = new TestMachine('epoch')
  let folder = ''
  let pid = 0
  let stream = ''

  beforeAll(async () => {
    await machine.up()
    await machine.shoal('create', 'cached')
    folder = machine.makeFolder('mount')
    await machine.shoal('mount', 'cached', folder)
    const [mount] = JSON.parse(await machine.shoal('mounts', '--json')) as { pid: number }[]
    const [bucket] = JSON.parse(await machine.shoal('buckets', '--json')) as { stream: string }[]
    pid = mount?.pid ?? 0
    stream = bucket?.stream ?? ''
  })
  afterAll(async () => {
    await machine.cleanUp()
  })

  test('is looked up again once the daemon has written to the device', () => {
    const contents = openContentStore({ home: machine.home, environment: realEnvironment })
    const volume = openVolume({
      folder: join(machine.home, 'buckets', stream),
      contents,
      environment: realEnvironment,
      stream: parseStreamId(stream),
      node: parseNodeId('ee'.repeat(16)),
    })
    const by = { source: newSourceId(realEnvironment.randomBytes(8)) }
    const paths = Array.from({ length: FILES }, (_, index) => join(folder, `f${index}`))
    for (const path of paths) writeFileSync(path, 'x')
    let shown = 0
    try {
      for (const [index, path] of paths.entries()) {
        expect(existsSync(path)).toBe(true)
        // No bell: the mount finds out with its tick, once a second.
        volume.unlink({ parent: ROOT_INO, name: newName(`f${index}`) }, by)
        const isCached = existsSync(path)
        increaseEpoch(pid)
        expect(existsSync(path)).toBe(false)
        if (isCached) shown += 1
      }
      expect(shown).toBeGreaterThan(0)
    } finally {
      volume.close()
      contents.close()
    }
  })
})
