/**
 * The parts that an object was uploaded in, for clients that read it part by part. Sizes stand in the
 * version's headers, equal neighbours counted (`8388608x99,1234`): an upload of 10,000 parts has two or
 * three entries. Where they would not fit, the object counts as one part.
 */
import type { Version } from '../../../volume/volume.ts'

/** Name among a version's headers; never sent. */
export const PARTS_HEADER = 'x-shoal-parts'
/** Below half of what a version's headers may take together. */
const TEXT_MAX = 1536
/** S3's bound. */
const PARTS_MAX = 10_000

/** null where they would take too much room. */
export function formatPartSizes(sizes: readonly number[]): string | null {
  const entries: string[] = []
  for (let index = 0; index < sizes.length;) {
    let next = index + 1
    while (next < sizes.length && sizes[next] === sizes[index]) next += 1
    entries.push(next - index === 1 ? `${sizes[index]}` : `${sizes[index]}x${next - index}`)
    index = next
  }
  const text = entries.join(',')
  return text.length <= TEXT_MAX ? text : null
}

/** Sizes by part number less one; null for an object that was not uploaded in parts. */
export function partSizes(version: Pick<Version, 'headers' | 'size'>): number[] | null {
  const text = version.headers.get(PARTS_HEADER)
  if (text === undefined) return null
  const sizes: number[] = []
  for (const entry of text.split(',')) {
    const match = /^(\d{1,15})(?:x(\d{1,5}))?$/.exec(entry)
    const count = Number(match?.[2] ?? '1')
    if (match === null || sizes.length + count > PARTS_MAX) return null
    for (let index = 0; index < count; index += 1) sizes.push(Number(match[1]))
  }
  // Rows also come from peers: sizes that do not add up mean nothing.
  return sizes.reduce((sum, size) => sum + size, 0) === version.size ? sizes : null
}
