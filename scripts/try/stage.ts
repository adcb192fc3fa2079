/**
 * What the trial shows: chapters, the command a user would type, what came back, figures. Colour only on
 * a terminal; never more than a screen of one command's output.
 */
import { styleText } from 'node:util'

/** Lines of one answer that are shown; the rest is counted. */
const LINES_MAX = 14

export class Stage {
  readonly #colourful: boolean
  #chapter = 0

  constructor(colourful: boolean) {
    this.#colourful = colourful
  }

  title(text: string): void {
    this.#print(`\n${this.#style('bold', text)}\n`)
  }

  chapter(text: string): void {
    this.#chapter += 1
    this.#print(`\n${this.#style('bold', `${this.#chapter}. ${text}`)}\n`)
  }

  say(text: string): void {
    for (const line of text.split('\n')) this.#print(`   ${line}\n`)
  }

  /** The command, as typed on that machine. */
  command(machine: string, text: string): void {
    this.#print(`\n   ${this.#style('cyan', `${machine} $`)} ${this.#style('bold', text)}\n`)
  }

  /** What it printed. */
  answer(text: string): void {
    const lines = text.replace(/\s+$/, '').split('\n')
    const shown = lines.length > LINES_MAX ? lines.slice(0, LINES_MAX - 1) : lines
    for (const line of shown) if (line !== '') this.#print(`   ${this.#style('dim', line)}\n`)
    const hidden = lines.length - shown.length
    if (hidden > 0) this.#print(`   ${this.#style('dim', `... and ${hidden} lines more`)}\n`)
  }

  /** Something that was to be shown, and holds. */
  good(text: string): void {
    this.#print(`   ${this.#style('green', '✓')} ${text}\n`)
  }

  bad(text: string): void {
    this.#print(`   ${this.#style('red', '✗')} ${text}\n`)
  }

  /** Something that this machine cannot show, and why. */
  skipped(text: string): void {
    this.#print(`   ${this.#style('yellow', '–')} ${text}\n`)
  }

  #print(text: string): void {
    process.stdout.write(text)
  }

  #style(format: 'bold' | 'dim' | 'cyan' | 'green' | 'red' | 'yellow', text: string): string {
    return this.#colourful ? styleText(format, text) : text
  }
}

/** `0.8 ms`, `45 ms`, `1.24 s` */
export function formatMs(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`
}

/** `512 B`, `3.2 MiB` */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`
}
