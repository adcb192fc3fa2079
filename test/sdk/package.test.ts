/**
 * The SDK as a package: laid out as npm installs it, loaded by `require` and by `import`, quickly,
 * without a warning, and standing on Node's own modules alone.
 */
import { execFile } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')
const app = mkdtempSync(join(tmpdir(), 'shoal-app-'))

beforeAll(() => {
  if (!existsSync(join(root, 'dist', 'sdk', 'index.js')))
    throw new Error('run `npm run build` first')
  const installed = join(app, 'node_modules', 'shoal')
  mkdirSync(installed, { recursive: true })
  // Only the SDK, without a single dependency beside it: it must not reach for anything else.
  cpSync(join(root, 'package.json'), join(installed, 'package.json'))
  cpSync(join(root, 'dist', 'sdk'), join(installed, 'dist', 'sdk'), { recursive: true })
})
afterAll(() => {
  rmSync(app, { recursive: true, force: true })
})

async function runProgram(name: string, text: string): Promise<string> {
  writeFileSync(join(app, name), text)
  const { stdout, stderr } = await run(process.execPath, [join(app, name)], { cwd: app })
  expect(stderr).toBe('')
  return stdout.trim()
}

const LOOK = `
const storage = new Storage('my-app-images', { endpoint: 'http://127.0.0.1:1', accessKeyId: 'a', secretAccessKey: 'b' })
console.log(typeof Storage, typeof StorageError, storage.url('a').startsWith('http://127.0.0.1:1/my-app-images/a?'))`

test('CommonJS: require, no warning', async () => {
  const program = `const { Storage, StorageError } = require('shoal')\n${LOOK}`
  expect(await runProgram('common.cjs', program)).toBe('function function true')
})

test('ES modules: import', async () => {
  const program = `import { Storage, StorageError } from 'shoal'\n${LOOK}`
  expect(await runProgram('module.mjs', program)).toBe('function function true')
})

test('loads in less than 50 ms', async () => {
  const program = `const start = performance.now(); require('shoal'); console.log(performance.now() - start)`
  const times: number[] = []
  for (let round = 0; round < 5; round += 1)
    times.push(Number(await runProgram('time.cjs', program)))
  // The best of five: this is about the package, not about what else the machine is doing.
  expect(Math.min(...times)).toBeLessThan(50)
})

test('imports nothing but Node and itself', () => {
  const files = readdirSync(join(root, 'sdk'), { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts'),
  )
  expect(files.length).toBeGreaterThan(15)
  for (const file of files) {
    const text = readFileSync(join(root, 'sdk', file), 'utf8')
    const above = '../'.repeat(file.split('/').length)
    expect(text).not.toContain(`'${above}`)
    for (const [, from = ''] of text.matchAll(/^(?:import|export|\}).* from '([^']+)'/gm))
      expect(from).toMatch(/^(node:|\.\.?\/)/)
    expect(text).not.toMatch(/^await /m)
  }
})
