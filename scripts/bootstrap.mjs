/**
 * What `npm test`, `npm run try` and the others run: plain JavaScript without a package, because on a fresh
 * clone nothing else is there yet. It checks Node's version, installs from the lockfile when packages are
 * missing or others than the lockfile says, builds when a source changed, and then runs the thing with the
 * rest of the arguments. Exit status and Ctrl-C pass through.
 *
 *     node scripts/bootstrap.mjs try|test|bench|simulate|check|build [arguments]
 *
 * What it does itself it says on standard error, one line each, so that output can be piped.
 */
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
/** Folders with sources that are built; keep equal to `include` of tsconfig.build.json. */
const SOURCES = [
  'protocol',
  'volume',
  'daemon',
  'mount',
  'cli',
  'sdk',
  'scripts',
  'bench',
  'test/simulation',
]
/** What the package runs as a command: npm links to it, so it must be executable. */
const PROGRAM = path.join(ROOT, 'dist', 'cli', 'main.js')
/** Lists the sources of the last build that succeeded, with sizes and times. */
const BUILT = path.join(ROOT, 'dist', '.built')

const TOOL = {
  tsc: 'node_modules/typescript/bin/tsc',
  vitest: 'node_modules/vitest/vitest.mjs',
  oxfmt: 'node_modules/oxfmt/bin/oxfmt',
  oxlint: 'node_modules/oxlint/bin/oxlint',
  knip: 'node_modules/knip/bin/knip.js',
}

/** The gate: each step with the words it is announced by. */
const CHECKS = [
  ['format', TOOL.oxfmt, '--check', '.'],
  ['lint', TOOL.oxlint, '--type-aware', '--deny-warnings', '.'],
  ['types', TOOL.tsc, '-p', 'tsconfig.json'],
  ['dead code', TOOL.knip, '--no-progress'],
]

const TASKS = {
  test: (words) => runBuilt(TOOL.vitest, ['run', ...words]),
  try: (words) => runBuilt('dist/scripts/try.js', words),
  bench: (words) => runBuilt('dist/bench/main.js', words),
  simulate: (words) => runBuilt('dist/scripts/simulate.js', words),
  check: (words) => check(words),
  build: () => build(),
}

async function main() {
  const [task = '', ...words] = process.argv.slice(2)
  if (!Object.hasOwn(TASKS, task)) {
    say(`node scripts/bootstrap.mjs ${Object.keys(TASKS).join('|')} [arguments]`)
    return 2
  }
  const refusal = refuseNode(process.versions.node)
  if (refusal !== null) {
    say(refusal)
    return 1
  }
  return (await install()) || (await TASKS[task](words))
}

function say(line) {
  process.stderr.write(`shoal: ${line}\n`)
}

/** Why this Node will not do, or null. From 20.19 and 22.12 on, CommonJS can `require('shoal')`. */
function refuseNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const good = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
  return good
    ? null
    : `this is Node ${version}; shoal needs 20.19 or newer of 20, or 22.12 or newer. Install one and try again`
}

// ---- packages ------------------------------------------------------------------------------------

async function install() {
  const why = differenceOfPackages()
  if (why === null) return 0
  say(`installing packages from package-lock.json (${why})`)
  // no install script runs: none of our packages needs one, and none gets the chance
  const words = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund']
  const npm = process.env['npm_execpath'] ?? ''
  const [command, first] = /npm-cli\.c?js$/.test(npm) ? [process.execPath, [npm]] : ['npm', []]
  const status = await start(command, [...first, ...words, '--loglevel=error'])
  if (status !== 0) say('the packages could not be installed; is the npm registry reachable?')
  return status
}

/** Compares what npm says it installed with the lockfile; null = nothing to do. */
function differenceOfPackages() {
  const wanted = readPackages('package-lock.json')
  const found = readPackages(path.join('node_modules', '.package-lock.json'))
  if (wanted === null) throw new Error('package-lock.json is missing or broken')
  if (found === null) return 'none are here'
  for (const [name, entry] of Object.entries(wanted)) {
    const missing = found[name] === undefined && entry.optional !== true
    const other = found[name] !== undefined && found[name].version !== entry.version
    if (name !== '' && (missing || other)) return `${name} is missing or another version`
  }
  return null
}

function readPackages(file) {
  try {
    return JSON.parse(fs.readFileSync(path.join(ROOT, file), 'utf8')).packages
  } catch {
    return null
  }
}

// ---- build ---------------------------------------------------------------------------------------

async function build() {
  const sources = listSources()
  const state = sources.map((file) => stateOf(file)).join('\n')
  if (readText(BUILT) === state) return 0
  say('building')
  fs.rmSync(BUILT, { force: true })
  removeStale(sources)
  const status = await run(TOOL.tsc, ['-p', 'tsconfig.build.json'])
  if (status !== 0) return status
  fs.chmodSync(PROGRAM, 0o755)
  fs.writeFileSync(BUILT, state)
  return 0
}

function listSources() {
  const settings = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json']
  return [...settings, ...SOURCES.flatMap((folder) => listFiles(folder, '.ts'))]
}

function stateOf(file) {
  const { size, mtimeMs } = fs.statSync(path.join(ROOT, file))
  return `${file} ${size} ${mtimeMs}`
}

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

/** What was built from a source that is gone would still be found by an import. */
function removeStale(sources) {
  const built = new Set(sources.map((file) => path.join('dist', file.replace(/\.ts$/, ''))))
  for (const file of listFiles('dist', '')) {
    const stem = file.replace(/(\.d\.ts|\.js)(\.map)?$/, '')
    if (stem !== file && !built.has(stem)) fs.rmSync(path.join(ROOT, file))
  }
}

/** Files below a folder whose names end so, relative to the root, in a fixed order. */
function listFiles(folder, ending) {
  const absolute = path.join(ROOT, folder)
  if (!fs.existsSync(absolute)) return []
  return fs
    .readdirSync(absolute, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = path.join(folder, entry.name)
      if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : listFiles(name, ending)
      return name.endsWith(ending) ? [name] : []
    })
}

// ---- the gate ------------------------------------------------------------------------------------

/** Every step, also after one failed: one run shows all there is to mend. `--no-tests` leaves them out. */
async function check(words) {
  const failed = []
  for (const [name, tool, ...rest] of CHECKS) {
    say(`check: ${name}`)
    if ((await run(tool, rest)) !== 0) failed.push(name)
  }
  if (!words.includes('--no-tests')) {
    say('check: layers, house rules and tests')
    if ((await runBuilt(TOOL.vitest, ['run'])) !== 0) failed.push('tests')
  }
  say(failed.length === 0 ? 'check: all good' : `check: failed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
}

// ---- processes -----------------------------------------------------------------------------------

/** What runs the product needs it built; what only reads the sources does not. */
async function runBuilt(program, words) {
  return (await build()) || (await run(program, words))
}

/** Runs one of our own programs, or a package's, with this Node. */
function run(program, words) {
  return start(process.execPath, [path.join(ROOT, program), ...words])
}

const doNothing = () => {}

/** Resolves with the exit status: that of the child, or 128 + the signal that ended it. */
function start(command, words) {
  return new Promise((resolve) => {
    const child = spawn(command, words, { cwd: ROOT, stdio: 'inherit' })
    // Ctrl-C reaches the child by itself, and it decides how to end; others are passed on
    const forward = (signal) => child.kill(signal)
    process.on('SIGINT', doNothing).on('SIGTERM', forward).on('SIGHUP', forward)
    const end = (status) => {
      process.off('SIGINT', doNothing).off('SIGTERM', forward).off('SIGHUP', forward)
      resolve(status)
    }
    child.once('error', (error) => {
      say(`${command} could not be started: ${error.message}`)
      end(127)
    })
    child.once('exit', (code, signal) => {
      end(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  })
}

process.exitCode = await main()
