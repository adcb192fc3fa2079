/** The life of a daemon: start, second start, ports, crash, garbage, end; and what commands say without one. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS } from '../../cli/commands/commands.ts'
import { eventually, PROGRAM, runProgram, TestMachine } from '../support/daemon.ts'
import { lacks } from '../support/skipping.ts'

describe('without a daemon', () => {
  const home = mkdtempSync(join(tmpdir(), 'shoal-none-'))
  const run = (...words: string[]): ReturnType<typeof runProgram> =>
    runProgram(words, { variables: { SHOAL_HOME: home } })
  afterAll(() => {
    rmSync(home, { recursive: true, force: true })
  })

  it.each([
    [['status']],
    [['down']],
    [['create', 'photos']],
    [['ls', 'photos']],
    [['cat', 'photos:a']],
    [['mounts']],
    [['url', 'photos:a']],
  ])('%s ends with 5 and says how to start one', async (words) => {
    const { status, stderr } = await run(...words)
    expect(stderr).toMatch(/^shoal: .+: none answers there\n/)
    expect(stderr).toContain('shoal up')
    expect(status).toBe(5)
  })

  it('every command has help', async () => {
    const { status, stdout } = await run('--help')
    expect(status).toBe(0)
    for (const { name } of COMMANDS) expect(stdout).toContain(`  ${name}`)
    const helps = await Promise.all(COMMANDS.slice(0, 6).map(({ name }) => run(name, '--help')))
    for (const help of helps)
      expect(help.stdout).toMatch(/^Usage: shoal [\s\S]+\nExamples:\n {2}\S/)
    expect((await run('help', 'umount')).stdout).toMatch(/^Usage: shoal unmount/)
    for (const { name, examples } of COMMANDS) {
      expect([name, examples.filter((example) => example.includes(`shoal ${name}`))]).not.toEqual([
        name,
        [],
      ])
    }
  })

  it('says what is wrong with a command line, and ends with 2', async () => {
    const mistyped = await run('statsu')
    expect(mistyped).toMatchObject({ status: 2 })
    expect(mistyped.stderr).toMatch(/unknown command 'statsu'\nDid you mean status\?/)
    expect(await run('cat')).toMatchObject({ status: 2 })
    expect(await run('ls', '--nonsense')).toMatchObject({ status: 2 })
    expect(await run('up', '--http', 'nowhere')).toMatchObject({ status: 2 })
    expect(await run('cp', 'onlyone')).toMatchObject({ status: 2 })
    expect(await run('help', 'nonsense')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("unknown command 'nonsense'"),
    })
    for (const target of ['photos:', 'photos:2026/']) {
      const unnamed = await run('cp', '-', target)
      expect(unnamed).toMatchObject({ status: 2 })
      expect(unnamed.stderr).toContain('standard input has no name\nName the object')
    }
    const local = await run('cp', 'no-such-file', 'photos:')
    expect(local.stderr).toBe(
      'shoal: read no-such-file: there is no such file\nAn object is written as BUCKET:KEY.\n',
    )
    for (const app of ['', ' a', 'a\nb', 'x'.repeat(129)]) {
      expect(await run('create', 'photos', '--app', app)).toMatchObject({ status: 2 })
    }
    expect(await run('mount', 'photos', '/tmp', '-o', 'bogus')).toMatchObject({ status: 2 })
  })

  it('takes --home before and behind the command', async () => {
    const elsewhere = join(home, 'elsewhere')
    const before = await run('--home', elsewhere, 'buckets')
    const behind = await run('buckets', '--home', elsewhere)
    expect(before.stderr).toContain(`find the daemon of ${elsewhere}:`)
    expect(behind).toEqual(before)
  })

  it('prints version and settings', async () => {
    expect((await run('version')).stdout).toMatch(/^shoal \d+\.\d+\.\d+ \(Node \d/)
    const { stdout } = await runProgram(['config', '--json'], {
      variables: { SHOAL_HOME: home, SHOAL_REGION: 'north' },
    })
    expect(JSON.parse(stdout).settings).toContainEqual({
      name: 'region',
      value: 'north',
      source: 'SHOAL_REGION',
    })
  })
})

describe('a daemon', () => {
  const machine = new TestMachine('alpha')
  beforeAll(async () => {
    await machine.up()
  })
  afterAll(async () => {
    await machine.cleanUp()
  })

  it('writes down where it answers, and keeps its secrets to itself', () => {
    const { http, peer, dashboard, pid } = machine.addresses()
    expect(http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(peer).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/)
    expect(dashboard).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(pid).toBeGreaterThan(1)
    const modeOf = (path: string): number => statSync(join(machine.home, path)).mode & 0o777
    expect(modeOf('run/local-key.json')).toBe(0o600)
    expect(modeOf('run/control.sock')).toBe(0o600)
    expect(modeOf('node.key')).toBe(0o600)
    expect(modeOf('.')).toBe(0o700)
  })

  it('tells health and metrics on an origin of its own', async () => {
    const { dashboard } = machine.addresses()
    expect(await (await fetch(`${dashboard}/healthz`)).text()).toBe('ok\n')
    const metrics = await (await fetch(`${dashboard}/metrics`)).text()
    expect(metrics).toContain('# TYPE shoal_buckets gauge\nshoal_buckets 0\n')
    expect((await fetch(`${dashboard}/x`)).status).toBe(404)
    expect((await fetch(`${dashboard}/`, { method: 'POST' })).status).toBe(405)
  })

  it.skipIf(lacks('python3'))(
    'tells a service manager that it is ready, and that it ends',
    async () => {
      const served = new TestMachine('served')
      const path = join(served.folder, 'notify')
      const listen = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print('bound', flush=True)
for _ in range(2): print(s.recv(99).decode(), flush=True)`
      const manager = spawn('python3', ['-c', listen, path])
      let told = ''
      manager.stdout.on('data', (text: Buffer) => {
        told += text.toString()
      })
      try {
        await eventually('the manager listens', () => told === 'bound\n')
        await served.up([], { NOTIFY_SOCKET: path })
        await eventually('it is ready', () => told === 'bound\nREADY=1\n')
        await served.stop()
        await eventually('it ends', () => told === 'bound\nREADY=1\nSTOPPING=1\n')
      } finally {
        manager.kill('SIGKILL')
        await served.cleanUp()
      }
    },
  )

  it('is the only one on its home', async () => {
    const second = await machine.run(['up', '--http', '127.0.0.1:0', '--peer', '127.0.0.1:0'])
    expect(second.status).toBe(4)
    expect(second.stderr).toContain('one runs there already')
    expect(second.stderr).toContain(machine.addresses().http)
    expect(await machine.shoal('status')).toContain('alpha')
  })

  it('says which port is taken, and leaves nothing behind', async () => {
    const other = new TestMachine('beta')
    const taken = new URL(machine.addresses().http).host
    const flags = ['--http', taken, '--peer', '127.0.0.1:0', '--dashboard', '127.0.0.1:0']
    const { status, stderr } = await other.run(['up', '--home', other.home, ...flags])
    expect(status).toBe(4)
    expect(stderr).toContain(taken)
    expect(existsSync(join(other.home, 'run', 'addresses.json'))).toBe(false)
    await other.cleanUp()
  })

  it('closes the connection that sends garbage, and goes on', async () => {
    const garbage = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(64, 0xff),
      Buffer.from([1, 0, 0, 0, 0xc1]),
      // A whole, well-formed frame that is an event from nobody.
      Buffer.from([6, 0, 0, 0, 0x94, 0x01, 0xa1, 0x78, 0x00, 0xc0]),
    ]
    for (const bytes of garbage) {
      const socket = connect(join(machine.home, 'run', 'control.sock'))
      socket.write(bytes)
      await once(socket, 'close')
    }
    expect(await machine.shoal('buckets', '--json')).toBe('[]\n')
    expect(machine.log()).toContain('control connection closed')
  })

  it('survives kill -9', async () => {
    await machine.shoal('create', 'photos', '--app', 'app')
    const before = await machine.shoal('env', '--app', 'app')
    await machine.kill()
    expect((await machine.run(['buckets'])).status).toBe(5)
    await machine.up()
    expect(JSON.parse(await machine.shoal('buckets', '--json'))).toMatchObject([{ name: 'photos' }])
    const after = await machine.shoal('env', '--app', 'app')
    const withoutUrl = (text: string): string => text.replaceAll(/^.*http:.*$/gm, '')
    expect(withoutUrl(after)).toBe(withoutUrl(before))
  })

  it('ends cleanly with down, and with SIGTERM', async () => {
    const { status, stderr } = await machine.run(['down'])
    expect(status).toBe(0)
    expect(stderr).toContain('has stopped')
    expect(existsSync(join(machine.home, 'run', 'addresses.json'))).toBe(false)
    expect(existsSync(join(machine.home, 'run', 'local-key.json'))).toBe(false)
    await machine.up()
    await machine.stop()
    await eventually('the end of the log', () => machine.log().trimEnd().endsWith('"stopped"}'))
  })

  it('ends cleanly when it is asked to while it starts', async () => {
    const ports = ['--http', '--peer', '--dashboard'].flatMap((flag) => [flag, '127.0.0.1:0'])
    const child = spawn(process.execPath, [PROGRAM, 'up', '--home', machine.home, ...ports])
    let log = ''
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString('utf8')
    })
    const addresses = join(machine.home, 'run', 'addresses.json')
    // Written while it starts; whoever waited for it may ask at once.
    while (!existsSync(addresses) && child.exitCode === null) await setImmediate()
    child.kill('SIGTERM')
    const [status] = await once(child, 'close')
    expect(log).toContain('"stopped"')
    expect(status).toBe(0)
    expect(existsSync(addresses)).toBe(false)
  })

  it('never logs a secret', () => {
    const log = machine.log()
    const keyPath = join(machine.home, 'node.key')
    const line = readFileSync(keyPath, 'utf8').split('\n')[1] ?? 'none'
    expect(log).not.toContain(line)
    expect(log).not.toContain('secret')
  })
})
