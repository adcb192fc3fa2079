/**
 * How far each webhook of this machine has been served: a cursor of the feed for each, on this machine alone
 * (`HOME/webhooks/positions.db`). It moves only when the receiver has taken what came before it.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Database } from '../../volume/names/tables/database.ts'

export class Positions {
  readonly #database: Database

  /** @param home of the daemon; the folder in it is made with mode 0700 */
  constructor(home: string) {
    const folder = join(home, 'webhooks')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#database = new Database(join(folder, 'positions.db'))
    // A message is sent again where a power cut takes its row back, so it need not wait for the disk.
    this.#database.exec('PRAGMA wal_autocheckpoint = 100')
    this.#database.exec(
      'CREATE TABLE IF NOT EXISTS position(id TEXT PRIMARY KEY, cursor TEXT NOT NULL) STRICT, WITHOUT ROWID',
    )
  }

  get(id: string): string | null {
    const row = this.#database.get<{ cursor: string }>(
      'SELECT cursor FROM position WHERE id = ?',
      id,
    )
    return row?.cursor ?? null
  }

  set(id: string, cursor: string): void {
    this.#database.run('INSERT OR REPLACE INTO position VALUES (?, ?)', id, cursor)
  }

  /** Forgets all but these. */
  keep(ids: ReadonlySet<string>): void {
    for (const { id } of this.#database.all<{ id: string }>('SELECT id FROM position')) {
      if (!ids.has(id)) this.#database.run('DELETE FROM position WHERE id = ?', id)
    }
  }

  /** Idempotent. */
  close(): void {
    this.#database.close()
  }
}
