/** git and npm at work inside the mount. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../machines/machine.ts'
import { formatMs } from '../try/stage.ts'
import { check, must, type Proof, until } from './proof.ts'

/** The other machine's user need not own what the first one's user wrote. */
const WHO = ['-c', 'user.name=a', '-c', 'user.email=a@example.com', '-c', 'safe.directory=*']

const git = async (folder: string, ...words: string[]): Promise<string> =>
  await must('git', ['-C', folder, ...WHO, ...words])

export async function showGit(proof: Proof): Promise<void> {
  const { here, there, disk } = proof.lab
  proof.stage.chapter('git inside the mount')
  const origin = join(disk, 'origin')
  await must('git', ['init', '-q', origin])
  for (const folder of ['docs', 'volume', 'dist']) {
    await must('cp', ['-r', join(proof.root, folder), origin])
  }
  await git(origin, 'add', '.')
  await git(origin, 'commit', '-q', '-m', 'First')
  const start = performance.now()
  const clone = join(here.mount, 'clone')
  await git(disk, 'clone', '-q', origin, clone)
  await git(clone, 'fsck', '--strict')
  writeFileSync(join(clone, 'new.txt'), 'new\n')
  await git(clone, 'add', 'new.txt')
  await git(clone, 'commit', '-q', '-m', 'Commit inside the mount')
  check((await git(clone, 'status', '--porcelain')) === '', 'git status is clean')
  const took = formatMs(performance.now() - start)
  proof.stage.good(`clone, fsck --strict, add and commit in ${took}`)
  const head = await git(clone, 'rev-parse', 'HEAD')
  const copy = join(there.mount, 'clone')
  const arrived = async (): Promise<boolean> =>
    (await run('git', ['-C', copy, ...WHO, 'rev-parse', 'HEAD'])).output === head
  const late = formatMs(await until('the commit', arrived))
  await git(copy, 'fsck', '--strict')
  check((await git(copy, 'log', '-1', '--format=%s')).includes('inside'), 'the log tells it there')
  proof.stage.good(`the commit is on the other machine after ${late}, and fsck is clean there`)
  proof.figure('git clone, fsck, add, commit', `${took}; there after ${late}, fsck clean`)
}

export async function showNpm(proof: Proof): Promise<void> {
  const { here, there, disk } = proof.lab
  proof.stage.chapter('npm install inside the mount')
  const source = join(disk, 'tiny')
  mkdirSync(source)
  writeFileSync(join(source, 'package.json'), '{"name":"tiny","version":"1.0.0","bin":"index.js"}')
  writeFileSync(join(source, 'index.js'), '#!/usr/bin/env node\nconsole.log("tiny")\n')
  await must('npm', ['pack', '--silent', '--pack-destination', disk, source])
  const project = join(here.mount, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{"name":"project","private":true}')
  const start = performance.now()
  const flags = ['--offline', '--no-audit', '--no-fund', '--silent']
  await must('npm', ['install', '--prefix', project, ...flags, join(disk, 'tiny-1.0.0.tgz')])
  const program = join('project', 'node_modules', '.bin', 'tiny')
  check((await must(join(here.mount, program), [])) === 'tiny\n', 'the installed program runs')
  const took = formatMs(performance.now() - start)
  const runs = async (): Promise<boolean> =>
    (await must(join(there.mount, program), [])) === 'tiny\n'
  const late = formatMs(await until('the program', runs))
  proof.stage.good(`installed and run in ${took}; runs on the other machine after ${late}`)
  proof.figure('npm install of a small package', `${took}; runs there after ${late}`)
}
