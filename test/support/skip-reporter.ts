/** Ends a test run with what was skipped and why: one line a reason, and how many tests it kept away. */
import type { Reporter, TestModule } from 'vitest/node'
import { SKIPPED } from './skipping.ts'

export default class SkipReporter implements Reporter {
  readonly #reasons = new Set<string>()

  onUserConsoleLog(log: { readonly content: string }): void {
    for (const line of log.content.split('\n')) {
      if (line.startsWith(SKIPPED)) this.#reasons.add(line.slice(SKIPPED.length))
    }
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    let count = 0
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        count += 1
        const result = test.result()
        const note = result.state === 'skipped' ? result.note : undefined
        if (note !== undefined) this.#reasons.add(`"${test.name}", because ${note}`)
      }
    }
    if (count === 0) return
    process.stdout.write(`\n ${count} skipped, because of this:\n`)
    for (const reason of [...this.#reasons].sort()) process.stdout.write(`   ${reason}\n`)
  }
}
