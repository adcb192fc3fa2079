/**
 * Origins by small numbers: 16 bytes on the wire, an alias in every row of this database. An alias never
 * changes its meaning, so both directions are cached; a transaction that is rolled back may have made
 * some, so the cache is forgotten then. Compare by the 16 bytes, never by alias.
 */
import { bytesOfHex, hexOfBytes, parseOriginId } from '../../../protocol/ids.ts'
import type { OriginId } from '../../../protocol/ids.ts'
import { compareStamps } from '../../../protocol/stamps.ts'
import type { Hlc, Stamp } from '../../../protocol/stamps.ts'
import { ShoalError } from '../../../protocol/errors.ts'
import type { Vector } from '../../../protocol/rows.ts'
import { bufferOf } from './database.ts'
import type { Database } from './database.ts'

export class Origins {
  readonly #db: Database
  readonly #aliasById = new Map<OriginId, number>()
  readonly #idByAlias = new Map<number, OriginId>()

  constructor(db: Database) {
    this.#db = db
  }

  /** The alias of an origin, made if it is new (then within a write transaction only). */
  alias(id: OriginId): number {
    const known = this.find(id)
    if (known !== null) return known
    this.#db.run('INSERT INTO origin(id16) VALUES (?)', bytesOfHex(id))
    return this.find(id) ?? 0
  }

  /** The alias of an origin, null where no row of its is known. */
  find(id: OriginId): number | null {
    const cached = this.#aliasById.get(id)
    if (cached !== undefined) return cached
    const row = this.#db.get<{ alias: number }>(
      'SELECT alias FROM origin WHERE id16 = ?',
      bytesOfHex(id),
    )
    if (row === undefined) return null
    this.#remember(row.alias, id)
    return row.alias
  }

  id(alias: number): OriginId {
    const cached = this.#idByAlias.get(alias)
    if (cached !== undefined) return cached
    const row = this.#db.get<{ id16: Uint8Array }>('SELECT id16 FROM origin WHERE alias = ?', alias)
    if (row === undefined) {
      throw new ShoalError('corrupt', 'read a row', { why: `origin ${alias} is unknown` })
    }
    const id = parseOriginId(hexOfBytes(row.id16))
    this.#remember(alias, id)
    return id
  }

  stamp(hlc: Hlc, alias: number): Stamp {
    return { hlc, origin: this.id(alias) }
  }

  /** Order of two stamps given by alias; negative, zero or positive. */
  compare(hlc: Hlc, alias: number, other: Stamp): number {
    return hlc === other.hlc ? compareStamps(this.stamp(hlc, alias), other) : hlc - other.hlc
  }

  /** Up to which seq everything of this origin is included here, 0 = nothing. */
  included(alias: number): number {
    return (
      this.#db.get<{ vector: number }>('SELECT vector FROM origin WHERE alias = ?', alias)
        ?.vector ?? 0
    )
  }

  /** Raises the vector of an origin; never lowers it. */
  include(alias: number, seq: number): void {
    this.#db.run('UPDATE origin SET vector = max(vector, ?) WHERE alias = ?', seq, alias)
  }

  /**
   * The chain hash of an origin after exactly this operation, as its owner told; null where it told none.
   * Our own incarnation's is in the log.
   */
  chain(alias: number, seq: number): Buffer | null {
    const row = this.#db.get<{ chain: Uint8Array | null }>(
      'SELECT chain FROM origin WHERE alias = ? AND chain_seq = ?',
      alias,
      seq,
    )
    return row === undefined || row.chain === null ? null : bufferOf(row.chain)
  }

  /** Keeps what an owner told of its chain; of several the newest, which is what it will be asked for. */
  keepChain(alias: number, seq: number, chain: Uint8Array): void {
    this.#db.run(
      'UPDATE origin SET chain = ?, chain_seq = ? WHERE alias = ? AND vector <= ?',
      chain,
      seq,
      alias,
      seq,
    )
  }

  /** The vector as the table has it; our own origin's entry is `self.seq`, which the caller adds. */
  stored(): Map<OriginId, number> {
    const vector = new Map<OriginId, number>()
    for (const row of this.#db.all<{ alias: number; vector: number }>(
      'SELECT alias, vector FROM origin WHERE vector > 0',
    )) {
      vector.set(this.id(row.alias), row.vector)
    }
    return vector
  }

  /** After a rollback. */
  forget(): void {
    this.#aliasById.clear()
    this.#idByAlias.clear()
  }

  #remember(alias: number, id: OriginId): void {
    this.#aliasById.set(id, alias)
    this.#idByAlias.set(alias, id)
  }
}

/** The vector of now, our own origin included. To be read in a snapshot. */
export function readVector(db: Database, origins: Origins): Vector {
  const vector = origins.stored()
  const self = db.get<{ origin: number; seq: number }>('SELECT origin, seq FROM self')
  if (self !== undefined && self.seq > 0) vector.set(origins.id(self.origin), self.seq)
  return vector
}
