/** `npm run try` as a newcomer runs it: all of it holds, and nothing is left, wherever Ctrl-C comes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { mountsBelow, unmountBelow, whyNoMounts } from '../support/mounts.ts'

const PROGRAM = fileURLToPath(new URL('../../dist/scripts/try.js', import.meta.url))
const missing = whyNoMounts()

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-trial-'))
})
afterEach(() => {
  unmountBelow(folder)
  rmSync(folder, { recursive: true, force: true })
})

/** Runs it in a temporary folder of its own. @param onOutput called with all that it printed so far */
async function runTrial(
  words: readonly string[],
  onOutput: (output: string, interrupt: () => void) => void = () => undefined,
): Promise<{ status: number | null; output: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder },
  })
  const ended = once(child, 'close')
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    onOutput(output, () => child.kill('SIGINT'))
  })
  await ended
  // As a shell shows it: one more Ctrl-C while it exits ends it by that signal, after all was cleaned up.
  const status = child.signalCode === 'SIGINT' ? 130 : child.exitCode
  return { status, output }
}

const expectNothingLeft = (): void => {
  expect(mountsBelow(folder)).toEqual([])
  expect(readdirSync(folder)).toEqual([])
}

test('shows all of it, and removes everything', async () => {
  const { status, output } = await runTrial([])
  expect([status, output]).toEqual([0, expect.stringContaining('That was all of it')])
  expect(output).not.toContain('✗')
  if (missing === null) expect(output).toContain('not one byte differs')
  else expect(output).toContain(missing)
  expectNothingLeft()
}, 120_000)

test.each([
  ['while a daemon starts', /tokyo \$ shoal up/],
  ['while it joins', /tokyo \$ shoal join/],
  ['while files are copied', /berlin \$ (cp -a|shoal cp -r)/],
])(
  'Ctrl-C %s leaves nothing, also pressed again and again',
  async (_, moment) => {
    let timer: NodeJS.Timeout | null = null
    const { status } = await runTrial([], (output, interrupt) => {
      if (moment.test(output)) timer ??= setInterval(interrupt, 50)
    })
    if (timer !== null) clearInterval(timer)
    expect(status).toBe(130)
    expectNothingLeft()
  },
  120_000,
)

test('--keep leaves two machines, which --stop takes away', async () => {
  const kept = await runTrial(['--keep'])
  expect([kept.status, kept.output]).toEqual([0, expect.stringContaining('npm run try -- --stop')])
  expect(readdirSync(folder)).toHaveLength(1)
  const home = /SHOAL_HOME='([^']+)'/.exec(kept.output)?.[1] ?? ''
  expect(readdirSync(join(home, 'run'))).toContain('addresses.json')
  if (missing === null) expect(mountsBelow(folder)).toHaveLength(2)
  const stopped = await runTrial(['--stop'])
  expect([stopped.status, stopped.output]).toEqual([
    0,
    expect.stringContaining('stopped and removed'),
  ])
  expectNothingLeft()
}, 120_000)

test('words that it does not know', async () => {
  expect(await runTrial(['--kepp'])).toMatchObject({ status: 2 })
})
