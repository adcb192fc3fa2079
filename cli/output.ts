/**
 * What the command line prints and how: tables, sizes, times, JSON. Results go to standard output, all
 * else to standard error, so that `$(shoal invite)` is the token and nothing but the token.
 */
import { writeSync } from 'node:fs'
import { ShoalError } from '../protocol/errors.ts'

export interface Output {
  /** A line of the result. */
  line(text: string): void
  /** One JSON value, on one line. */
  json(value: unknown): void
  /** Rows under headings; nothing at all for no rows. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): void
  /** A line for the person in front of it: standard error. */
  note(text: string): void
  /** Redraws one line of standard error; does nothing where that is no terminal. */
  status(text: string): void
  readonly isTerminal: boolean
}

export function openOutput(): Output {
  const isTerminal = process.stderr.isTTY
  return {
    line: printLine,
    json: (value) => {
      printLine(JSON.stringify(value))
    },
    table: (headings, rows) => {
      if (rows.length > 0) for (const row of formatTable(headings, rows)) printLine(row)
    },
    note: (text) => {
      writeWhole(2, `${text}\n`)
    },
    status: (text) => {
      // A line that wraps could not be drawn over: it is cut to what the terminal has.
      const shown = Array.from(text)
        .slice(0, process.stderr.columns - 1)
        .join('')
      // Carriage return, the text, and the rest of the line erased (ECMA-48 EL).
      if (isTerminal) writeWhole(2, `\r${shown}\u001B[K`)
    },
    isTerminal,
  }
}

function printLine(text: string): void {
  writeWhole(1, `${text}\n`)
}

/**
 * Written at once and in order, also when the process ends right behind it. A full pipe gives EAGAIN
 * (somebody made it non-blocking); a closed one means that nobody reads on, which is no fault: `head`.
 */
function writeWhole(fd: number, text: string): void {
  let rest = Buffer.from(text, 'utf8')
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? cause.code : ''
      if (code === 'EPIPE') throw new ShoalError('interrupted', 'print', { cause })
      if (code !== 'EAGAIN') throw cause
      Atomics.wait(PAUSE, 0, 0, 1)
    }
  }
}
const PAUSE = new Int32Array(new SharedArrayBuffer(4))

/** Columns padded to their widest cell; columns of numbers and sizes are set to the right. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) =>
    Math.max(...all.map((row) => widthOf(row[column] ?? ''))),
  )
  const right = headings.map((_, column) => {
    const cells = rows.map((row) => row[column] ?? '').filter((cell) => !/^-?$/.test(cell))
    return (
      cells.length > 0 && cells.every((cell) => /^[\d.,]+( ?[KMGTP]?i?B(\/s)?| ms)?$/.test(cell))
    )
  })
  return all.map((row) =>
    headings
      .map((_, column) => {
        const cell = row[column] ?? ''
        const padding = ' '.repeat((widths[column] ?? 0) - widthOf(cell))
        return right[column] === true ? padding + cell : cell + padding
      })
      .join('  ')
      .trimEnd(),
  )
}

/** In code points: right for all but combining characters and wide ones, which no terminal agrees on. */
const widthOf = (cell: string): number => Array.from(cell).length

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1.5 MiB`; `exact` prints the number of bytes alone. */
export function formatSize(bytes: number, exact = false): string {
  if (exact) return String(bytes)
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? ''}`
}

const CLOCK = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium' })

/** `2026-11-23 10:21:17` in the user's time zone. */
export const formatTime = (timeMs: number): string =>
  Number.isFinite(timeMs) ? CLOCK.format(timeMs) : '-'

/** `3 d 4 h`, `12 min 5 s`, `0.4 s`: the two largest units. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms / 1000)
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** Control characters of names, made visible: a key must not move the cursor of who lists it. */
export const printable = (text: string): string =>
  text.replaceAll(
    /\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
