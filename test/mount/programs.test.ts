/**
 * Programs that people run on file systems, and the suites that were made to break them. A program that is
 * not installed is skipped by name.
 */
import * as fs from 'node:fs'
import { randomBytes } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saySkipped } from '../support/skipping.ts'
import { TestMount, whyNoTestMounts } from './support/test-mount.ts'

const skip = whyNoTestMounts() !== null
const cargo = join(homedir(), '.cargo', 'bin')
const PJDFSTEST_SETTINGS = `
[features]
posix_fallocate = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.01
[dummy_auth]
entries = [["nobody","nogroup"],["daemon","daemon"]]
`

function has(program: string): boolean {
  const found = spawnSync('which', [program]).status === 0 || fs.existsSync(program)
  if (!found && !skip) saySkipped(`what needs ${basename(program)}`, 'it is not installed')
  return found
}

describe.skipIf(skip).each(['auto', 'off'])('programs with passthrough=%s', (passthrough) => {
  let mount: TestMount
  let source: string

  beforeAll(async () => {
    mount = await TestMount.start({
      options: [`passthrough=${passthrough}`, 'allow_other', 'suid', 'dev'],
    })
    // Other users have work in it, too.
    fs.chmodSync(mount.folder, 0o755)
    source = join(mount.folder, 'source')
    makeTree(source)
  })
  afterAll(async () => {
    await mount.cleanUp()
  })

  function run(script: string): string {
    const environment = {
      ...process.env,
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@example.org',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@example.org',
    }
    const { status, stdout, stderr } = spawnSync('bash', ['-ec', script], {
      cwd: mount.directory,
      encoding: 'utf8',
      timeout: 120_000,
      env: { ...environment, SOURCE: source },
    })
    expect(`${stderr}${status === 0 ? '' : stdout}`).toBe('')
    expect(status).toBe(0)
    return stdout
  }

  it('cp -a, and diff finds no difference', () => {
    run('cp -a $SOURCE copied; diff -r --no-dereference $SOURCE copied')
    const list = "find . -printf '%P %m %s %TY-%Tm-%Td %TT %l\\n' | sort"
    const shown = run(`cd copied; ${list}`)
    // A directory's own size is the file system's.
    const normal = (text: string): string => text.replaceAll(/^(\S* 755) \d+ /gm, '$1 - ')
    expect(normal(shown)).toBe(normal(run(`cd $SOURCE; ${list}`)))
  })

  it('tar packs and unpacks', () => {
    run('tar -C $SOURCE -cf packed.tar .; mkdir unpacked; tar -C unpacked -xf packed.tar')
    run('diff -r --no-dereference $SOURCE unpacked')
  })

  it.skipIf(!has('rsync'))('rsync copies, and finds nothing to do the second time', () => {
    run('rsync -a $SOURCE/ synced/; diff -r --no-dereference $SOURCE synced')
    expect(run('rsync -ai $SOURCE/ synced/').trim()).toBe('')
    run(
      'echo changed >> synced/d1/f1; rsync -a --checksum $SOURCE/ synced/; diff -r --no-dereference $SOURCE synced',
    )
  })

  it.skipIf(!has('git'))('git commits, clones, repacks and finds its repository sound', () => {
    run(
      'mkdir repository; cp -a $SOURCE/. repository; cd repository; git init -q; git add -A; git commit -qm one',
    )
    run('cd repository; echo more > d1/f1; git commit -qam two; git gc -q; git fsck --strict 2>&1')
    run('git clone -q repository clone; cd clone; git fsck --strict 2>&1')
    expect(run('cd clone; git log --oneline | wc -l').trim()).toBe('2')
    expect(run('cd repository; git status --porcelain')).toBe('')
  })

  it.skipIf(!has('fio'))('fio writes at random and verifies', () => {
    const job =
      '--name=v --filename=fio.data --size=16M --rw=randwrite --bs=4k --verify=crc32c --fsync=500'
    run(`fio ${job} --output=/dev/null`)
  })

  it.skipIf(!has(join(cargo, 'fsx')))('fsx finds no wrong byte', () => {
    run(`${cargo}/fsx -q -N 3000 -S 7 fsx.data 2>&1 | tail -3; rm -f fsx.data*`)
  })

  it.skipIf(!has(join(cargo, 'pjdfstest')))(
    'pjdfstest finds nothing that POSIX forbids',
    () => {
      const settings = join(mount.folder, 'pjdfstest.toml')
      fs.writeFileSync(settings, PJDFSTEST_SETTINGS)
      fs.mkdirSync(mount.path('pjd'))
      const { stdout } = spawnSync(
        join(cargo, 'pjdfstest'),
        ['-c', settings, '-p', mount.path('pjd')],
        { encoding: 'utf8', timeout: 180_000 },
      )
      expect(stdout.split('\n').filter((line) => line.endsWith('FAILED'))).toEqual([])
      expect(stdout).toMatch(/Summary: 0 failed/)
    },
    200_000,
  )

  it('has logged no fault', () => {
    expect(mount.log()).toBe('')
  })
})

/** A small tree of what real trees hold: sizes on both sides of every border, links, odd names, old times. */
function makeTree(root: string): void {
  const sizes = [0, 1, 4095, 4096, 4097, 65_536, 65_537, 262_144, 300_000, 1_500_000]
  for (let directory = 0; directory < 12; directory++) {
    const folder = join(root, `d${directory}`)
    fs.mkdirSync(folder, { recursive: true })
    sizes.forEach((size, index) => {
      const file = join(folder, `f${index}`)
      fs.writeFileSync(file, randomBytes(Math.min(size, 300_000 + directory)))
      fs.chmodSync(file, index % 2 === 0 ? 0o644 : 0o755)
      fs.utimesSync(file, 1_500_000_000 + index, 1_500_000_000.25 + index)
    })
  }
  fs.symlinkSync('d1/f1', join(root, 'to-file'))
  fs.symlinkSync('/nowhere', join(root, 'to-nowhere'))
  fs.linkSync(join(root, 'd1', 'f9'), join(root, 'd2', 'linked'))
  fs.writeFileSync(join(root, 'ünïcode %2E name'), 'odd')
  fs.mkdirSync(join(root, 'empty'))
}
