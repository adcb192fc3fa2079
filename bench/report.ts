/**
 * Figures and how they are shown: each row beside its limit, measured in the same run on the same
 * machine, with what share of it was reached.
 */
import { statfsSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

export interface Row {
  readonly what: string
  readonly value: number
  /** What the machine gives without us, or null where there is no such thing. */
  readonly limit: number | null
  readonly unit: 'MiB/s' | 'files/s' | 'requests/s' | 'us' | 'ms' | 's'
}

export interface Group {
  readonly title: string
  readonly rows: readonly Row[]
}

/** Times are better when small, rates when large; the share says how close to the limit either way. */
const TIMES: ReadonlySet<string> = new Set(['us', 'ms', 's'])

/** One group as lines, aligned. */
export function formatGroup({ title, rows }: Group): string {
  const lines = rows.map(({ what, value, limit, unit }) => {
    const figures = [value, limit].map((figure) => formatFigure(figure, unit).padStart(20)).join('')
    return `  ${what.padEnd(46)}${figures}${formatShare(value, limit, unit).padStart(8)}`
  })
  return [title, ...lines, ''].join('\n')
}

export const heading = (): string =>
  `${''.padEnd(48)}${'shoal'.padStart(20)}${'limit'.padStart(20)}${'share'.padStart(8)}`

function formatFigure(value: number | null, unit: string): string {
  if (value === null) return '-'
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  const text = value.toLocaleString('en-US', {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
  })
  return `${text} ${unit}`
}

function formatShare(value: number, limit: number | null, unit: string): string {
  if (limit === null || limit === 0 || value === 0) return ''
  const share = TIMES.has(unit) ? limit / value : value / limit
  return `${Math.round(share * 100)} %`
}

/** The machine, in one line: a figure without it says little. */
export function describeMachine(folder: string): string {
  const processors = cpus()
  const model = (processors[0]?.model ?? 'unknown processor')
    .replaceAll(/\(R\)|\(TM\)|\s+/g, ' ')
    .trim()
  const { bsize, bavail } = statfsSync(folder)
  return [
    `${processors.length} x ${model}`,
    `${gib(totalmem())} memory`,
    `${gib(bsize * bavail)} free disk`,
    `Linux ${release().split('-')[0]}`,
    `Node ${process.versions.node}`,
  ].join(', ')
}

const gib = (bytes: number): string => `${Math.round(bytes / 2 ** 30)} GiB`

/** The middle of some measurements: one disturbed round does not move it. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** @param share 0 to 1: 0.99 for the 99th percentile (nearest rank) */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
