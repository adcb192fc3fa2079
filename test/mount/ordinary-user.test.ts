/**
 * A mount by an ordinary user through fusermount3: the whole of it without a privilege, and so without
 * passthrough. The test is root and lets a process of another user do it.
 */
import * as fs from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { saySkipped } from '../support/skipping.ts'
import { TestMount, whyNoTestMounts } from './support/test-mount.ts'

const USER = 65_534
const why = whyNoTestMounts() ?? whyNoUserMounts()

/** Users need a /dev/fuse that they may open; it is opened to them for the test, and closed again. */
function whyNoUserMounts(): string | null {
  const program = fileURLToPath(new URL('../../dist/cli/entries/mount.js', import.meta.url))
  const mayRead =
    spawnSync('cat', [program], { uid: USER, gid: USER, stdio: 'ignore' }).status === 0
  const reason =
    (spawnSync('fusermount3', ['--version']).status === 0
      ? null
      : 'fusermount3 is not installed') ?? (mayRead ? null : 'other users may not read this folder')
  if (reason !== null) saySkipped('mounts by ordinary users', reason)
  return reason
}

describe.skipIf(why !== null)('an ordinary user', () => {
  it('mounts, works, and unmounts', async () => {
    const mode = fs.statSync('/dev/fuse').mode & 0o777
    fs.chmodSync('/dev/fuse', 0o666)
    const folder = fs.mkdtempSync(join(tmpdir(), 'shoal-user-'))
    let mount: TestMount | null = null
    try {
      for (const path of ['home/run/mounts', 'mnt'])
        fs.mkdirSync(join(folder, path), { recursive: true })
      spawnSync('chown', ['-R', `${USER}:${USER}`, folder])
      mount = TestMount.launch({ folder, uid: USER })
      await mount.ready()
      const script = `
        cd ${mount.directory}; mkdir d; echo hello > d/f; cat d/f; head -c 300000 /dev/zero > big
        wc -c < big; mv big d/bigger; echo end >> d/bigger; wc -c < d/bigger; stat -c '%U %a' d/f; rm -r d; ls -A`
      const { stdout, stderr } = spawnSync('sh', ['-c', script], {
        encoding: 'utf8',
        uid: USER,
        gid: USER,
        timeout: 20_000,
      })
      expect(stderr).toBe('')
      expect(stdout.trim().split('\n')).toEqual(['hello', '300000', '300004', 'nobody 644'])
      expect(await mount.stop()).toBe(0)
      expect(mount.isMounted()).toBe(false)
      expect(mount.log()).toBe('')
    } finally {
      fs.chmodSync('/dev/fuse', mode)
      await mount?.cleanUp()
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })
})
