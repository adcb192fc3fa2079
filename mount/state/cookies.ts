/**
 * Directory cookies: the numbers by which the kernel continues a listing. They must mean the same for every
 * handle of a directory and for listings that the kernel has cached, and must survive names that come and
 * go, so each name of a directory gets a number once, and the number stands for "behind this name".
 *
 * Bounded by directories, and in one where names come and go (a mail spool) by the names that are there: when
 * a table is dropped, the kernel is told to forget its cached listing, so that nobody comes back with a number
 * of it.
 */
import type { Ino } from '../../protocol/ids.ts'

/** Directories with cookies in memory: more than a tree walk has in flight by far. */
const DIRECTORIES_MAX = 4096
/** A table is made anew when it has this many names and most of them are gone. */
const NAMES_WORTH = 65_536
const GONE_SHARE = 4

export const COOKIE_DOT = 1
export const COOKIE_DOT_DOT = 2
const FIRST = 3

interface Table {
  readonly cursors: string[]
  readonly cookieByCursor: Map<string, number>
}

export class DirectoryCookies {
  readonly #tableByIno: Map<Ino, Table> = new Map()
  readonly #forgotten: (ino: Ino) => void

  /** @param forgotten called with a directory whose cookies are of no more use */
  constructor(forgotten: (ino: Ino) => void) {
    this.#forgotten = forgotten
  }

  /** The cookie that continues behind this cursor of `Volume.readDirectory`. */
  cookieOf(directory: Ino, cursor: string): number {
    const table = this.#table(directory)
    const known = table.cookieByCursor.get(cursor)
    if (known !== undefined) return known
    const cookie = FIRST + table.cursors.length
    table.cursors.push(cursor)
    table.cookieByCursor.set(cursor, cookie)
    return cookie
  }

  /** A listing of a directory with so many names begins. */
  begin(directory: Ino, names: number): void {
    const given = this.#tableByIno.get(directory)?.cursors.length ?? 0
    if (given < NAMES_WORTH || given < names * GONE_SHARE) return
    this.#tableByIno.delete(directory)
    this.#forgotten(directory)
  }

  /** The cursor behind which to continue; '' = from the first name; null = a number that was never given. */
  cursorOf(directory: Ino, cookie: number): string | null {
    if (cookie < FIRST) return ''
    return this.#tableByIno.get(directory)?.cursors[cookie - FIRST] ?? null
  }

  #table(directory: Ino): Table {
    const known = this.#tableByIno.get(directory)
    if (known !== undefined) return known
    const table: Table = { cursors: [], cookieByCursor: new Map() }
    this.#tableByIno.set(directory, table)
    if (this.#tableByIno.size > DIRECTORIES_MAX) {
      const [oldest] = this.#tableByIno.keys()
      if (oldest !== undefined) {
        this.#tableByIno.delete(oldest)
        this.#forgotten(oldest)
      }
    }
    return table
  }
}
