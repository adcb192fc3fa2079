/**
 * Keys in the order of their bytes, as S3 lists them: a depth-first walk over the index of shown places,
 * directory after directory. A page costs what it returns, wherever it begins.
 *
 * Only files with a version are keys (rule 6); with the delimiter `/` every directory is a common prefix,
 * empty ones too (rule 10). Other delimiters group whole keys and jump behind each group.
 */
import { bytesOfRaw, parseObjectKey, rawOfBytes } from '../../../protocol/ids.ts'
import { KEY_MAX_BYTES } from '../../../protocol/limits.ts'
import type { ListItem, ListPage, ListQuery } from '../../volume.ts'
import { DIRECTORY, FILE } from '../tables/columns.ts'
import { versionOf } from '../merge/heads.ts'
import type { VersionColumns } from '../merge/heads.ts'
import { findDirectory } from './lookup.ts'
import type { Names } from '../tables/names.ts'

interface Row extends VersionColumns {
  readonly node: number
  readonly kind: number
  readonly view_key: Uint8Array
}

// Inline bytes are left out: a page of 1,000 keys would read 4 MB that nobody looks at. `body` finds them.
const COLUMNS = `n.id AS node, n.kind, n.view_key, v.ino, v.hlc, v.origin, v.size, v.format, v.hash,
  v.mtime, v.mtime_ns, v.etag, v.headers, v.metadata, v.checksums, NULL AS inline`
const FROM = `FROM node n LEFT JOIN version v
  ON v.ino = n.ino AND v.hlc = (SELECT head_hlc FROM node WHERE id = n.ino)
  AND v.origin = (SELECT head_origin FROM node WHERE id = n.ino)`
const BEHIND = `SELECT ${COLUMNS} ${FROM}
  WHERE n.view_parent = ? AND n.view_key > ? ORDER BY n.view_key LIMIT ?`
const NOT_BEFORE = `SELECT ${COLUMNS} ${FROM}
  WHERE n.view_parent = ? AND n.view_key >= ? ORDER BY n.view_key LIMIT ?`

// Rows read ahead in one directory: few in small ones, and one statement for each thousand in large ones.
const FIRST_BATCH = 64
const BATCH_MAX = 1024

/** One directory of the walk. */
interface Level {
  readonly directory: number
  /** Keys of this directory begin with it. */
  readonly prefix: string
  rows: readonly Row[]
  next: number
  batch: number
  complete: boolean
}

type Step =
  | { readonly type: 'directory'; readonly key: string; readonly row: Row }
  | { readonly type: 'file'; readonly key: string; readonly row: Row }

/** Walks keys from a point on. `step` goes into directories only by `descend`. */
class KeyWalk {
  readonly #names: Names
  readonly #levels: Level[] = []

  constructor(names: Names) {
    this.#names = names
  }

  /** Stands at the first key that is not before `from` in the directory and below. */
  enter(directory: number, prefix: string, from: string): void {
    const slash = from.indexOf('/')
    const key = slash < 0 ? from : from.slice(0, slash + 1)
    const level: Level = {
      directory,
      prefix,
      rows: this.#read(NOT_BEFORE, directory, key, FIRST_BATCH),
      next: 0,
      batch: FIRST_BATCH,
      complete: false,
    }
    level.complete = level.rows.length < FIRST_BATCH
    this.#levels.push(level)
    const first = level.rows[0]
    if (slash < 0 || first === undefined || bytesOfRaw(first.view_key) !== key) return
    const rest = from.slice(slash + 1)
    if (rest === '') return
    level.next = 1
    this.enter(first.node, prefix + key, rest)
  }

  /** The next file or directory, null at the end. */
  step(): Step | null {
    for (;;) {
      const level = this.#levels.at(-1)
      if (level === undefined) return null
      const row = level.rows[level.next]
      if (row !== undefined) {
        level.next += 1
        const key = level.prefix + bytesOfRaw(row.view_key)
        if (row.kind === DIRECTORY) return { type: 'directory', key, row }
        if (row.kind === FILE && row.hlc !== null) return { type: 'file', key, row }
      } else if (level.complete || !this.#readOn(level)) this.#levels.pop()
    }
  }

  descend(step: Step): void {
    // Keys above S3's bound cannot be named over HTTP; deeper trees are the mount's alone.
    if (step.key.length < KEY_MAX_BYTES) this.enter(step.row.node, step.key, '')
  }

  #readOn(level: Level): boolean {
    const last = level.rows.at(-1)
    if (last === undefined) return false
    level.batch = Math.min(level.batch * 4, BATCH_MAX)
    level.rows = this.#read(BEHIND, level.directory, last.view_key, level.batch)
    level.next = 0
    level.complete = level.rows.length < level.batch
    return level.rows.length > 0
  }

  #read(sql: string, directory: number, key: string | Uint8Array, limit: number): Row[] {
    const raw = typeof key === 'string' ? rawOfBytes(key) : key
    return this.#names.db.all<Row>(sql, directory, raw, limit)
  }
}

/** One page of keys and common prefixes, at most `limit` together. */
export function list(names: Names, query: ListQuery): ListPage {
  if (query.limit <= 0) return { items: [], prefixes: [], next: null }
  return names.db.snapshot(() => {
    const page = new PageBuilder(names, query)
    let from = page.start()
    while (from !== null) from = page.fillFrom(from)
    return page.finish()
  })
}

class PageBuilder {
  readonly #names: Names
  readonly #query: ListQuery
  readonly #items: ListItem[] = []
  readonly #prefixes: string[] = []
  #last = ''
  #more = false

  constructor(names: Names, query: ListQuery) {
    this.#names = names
    this.#query = query
  }

  /** The smallest key that may be on the page: behind `after` and the group it lies in. */
  start(): string | null {
    const { prefix, after } = this.#query
    if (after < prefix) return prefix
    if (!after.startsWith(prefix)) return null
    const group = this.#groupOf(after)
    return group === null ? `${after}\0` : behindGroup(group)
  }

  /** Takes keys from `from` on; returns where a new walk goes on, null when the page or the keys end. */
  fillFrom(from: string): string | null {
    const walk = this.#walkFrom(from)
    if (walk === null) return null
    for (let step = walk.step(); step !== null; step = walk.step()) {
      if (!step.key.startsWith(this.#query.prefix)) return null
      const isGroup = step.type === 'directory' && this.#query.delimiter === '/'
      if (step.type === 'directory' && !isGroup) {
        walk.descend(step)
        continue
      }
      if (this.#items.length + this.#prefixes.length >= this.#query.limit) {
        this.#more = true
        return null
      }
      const group = this.#groupOf(step.key)
      if (group === null) this.#take(step)
      else this.#takeGroup(group)
      if (group !== null && !isGroup) return behindGroup(group)
    }
    return null
  }

  finish(): ListPage {
    return { items: this.#items, prefixes: this.#prefixes, next: this.#more ? this.#last : null }
  }

  #walkFrom(from: string): KeyWalk | null {
    const { prefix } = this.#query
    if (!from.startsWith(prefix)) return null
    const above = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const directory = findDirectory(this.#names, above.split('/').slice(0, -1))
    if (directory === null) return null
    const walk = new KeyWalk(this.#names)
    walk.enter(directory, above, from.slice(above.length))
    return walk
  }

  /** The common prefix that a key belongs to, null when it is listed itself. */
  #groupOf(key: string): string | null {
    const { prefix, delimiter } = this.#query
    if (delimiter === '') return null
    const end = key.indexOf(delimiter, prefix.length)
    return end < 0 ? null : key.slice(0, end + delimiter.length)
  }

  #take(step: Step): void {
    this.#items.push({ key: parseObjectKey(step.key), version: versionOf(this.#names, step.row) })
    this.#last = step.key
  }

  #takeGroup(group: string): void {
    this.#prefixes.push(group)
    this.#last = group
  }
}

/** The smallest string above all that begin with `group`; null when there is none. */
function behindGroup(group: string): string | null {
  for (let end = group.length; end > 0; end--) {
    const unit = group.charCodeAt(end - 1)
    if (unit < 0xff) return group.slice(0, end - 1) + String.fromCharCode(unit + 1)
  }
  return null
}
