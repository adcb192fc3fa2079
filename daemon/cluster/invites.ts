/**
 * Invitations: a token that lets one node join this cluster, once (rule 5). Kept on the node that made
 * them (`invites.db`), never replicated: the token names this node, so nobody else needs to know.
 *
 * The first node that shows a token's secret binds it to its certificate; from then on only that one may
 * show it again, until it expires. So a join that was cut off is repeated, and nobody else gets in.
 * Binding is on disk before the member row is written: a crash in between costs a repeated join.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { decode, encode } from '../../protocol/encoding/codec.ts'
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { bytesOfHex, hexOfBytes, parseClusterId } from '../../protocol/ids.ts'
import type { ClusterId } from '../../protocol/ids.ts'
import {
  bytesOf,
  list,
  literal,
  parse,
  text,
  tuple,
  whole,
} from '../../protocol/encoding/schema.ts'
import { bufferOf, Database } from '../../volume/names/tables/database.ts'

/** Long enough to walk to the other machine, short enough that a forgotten one is no open door. */
export const INVITE_LIFETIME_MS = 3_600_000
/** Open invitations at once: somebody who needs more has lost count, and each may be used. */
const INVITES_MAX = 1000
const TOKEN_VERSION = 1
const ID_BYTES = 16
const SECRET_BYTES = 32
const FINGERPRINT_BYTES = 32
const ADDRESSES_MAX = 4
// "wss://" + a name of DNS (253) + port.
const ADDRESS_MAX_UNITS = 300
const TOKEN_MAX_UNITS = 2048

/** What a token says: where the inviting node is, how to know it, and the secret that proves the invitation. */
export interface InviteToken {
  readonly clusterId: ClusterId
  /** `wss://HOST:PORT`, to be tried in order. */
  readonly addresses: readonly string[]
  /** SHA-256 of the inviting node's certificate, 64 hex digits. */
  readonly fingerprint: string
  readonly tokenId: Buffer
  readonly secret: Buffer
  readonly expiresMs: number
}

const TOKEN = tuple([
  literal(TOKEN_VERSION),
  bytesOf(ID_BYTES),
  list(text(ADDRESS_MAX_UNITS, 1), ADDRESSES_MAX),
  bytesOf(FINGERPRINT_BYTES),
  bytesOf(ID_BYTES),
  bytesOf(SECRET_BYTES),
  whole(),
])

/** The token as users copy it: base64url of a MessagePack array, its version first. */
export const printToken = (token: InviteToken): string =>
  encode([
    TOKEN_VERSION,
    bytesOfHex(token.clusterId),
    [...token.addresses],
    Buffer.from(token.fingerprint, 'hex'),
    token.tokenId,
    token.secret,
    token.expiresMs,
  ]).toString('base64url')

/** @throws ShoalError `malformed` where the text is no whole token */
export function parseToken(token: string): InviteToken {
  const what = 'read the invite token'
  try {
    if (token.length > TOKEN_MAX_UNITS || !/^[\w-]+$/.test(token)) {
      throw new ShoalError('malformed', what)
    }
    const value = decode(Buffer.from(token, 'base64url'), what)
    const [, clusterId, addresses, fingerprint, tokenId, secret, expiresMs] = parse(
      TOKEN,
      value,
      what,
    )
    return {
      clusterId: parseClusterId(hexOfBytes(clusterId)),
      addresses,
      fingerprint: fingerprint.toString('hex'),
      tokenId,
      secret,
      expiresMs,
    }
  } catch (cause) {
    throw new ShoalError('malformed', what, {
      why: 'this is no whole invite token',
      next: 'Copy all of what "shoal invite" printed.',
      cause,
    })
  }
}

interface InviteRow {
  readonly secret: Uint8Array
  readonly expiresMs: number
  readonly boundTo: string | null
}

export class Invites {
  readonly #database: Database
  readonly #environment: Environment

  /** @param folder made with mode 0700 if missing */
  constructor(folder: string, environment: Environment) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#environment = environment
    this.#database = new Database(join(folder, 'invites.db'))
    // A handful of rows a day: each write is durable by itself, and the log of writes stays small.
    this.#database.exec('PRAGMA synchronous = FULL')
    this.#database.exec('PRAGMA wal_autocheckpoint = 100')
    this.#database.exec(
      `CREATE TABLE IF NOT EXISTS invite(
         id TEXT PRIMARY KEY, secret BLOB NOT NULL, expiresMs INTEGER NOT NULL, boundTo TEXT
       ) STRICT, WITHOUT ROWID`,
    )
  }

  /**
   * Makes an invitation, on disk when it returns.
   * @throws ShoalError `too-large` when too many are open
   */
  make(lifetimeMs: number): Pick<InviteToken, 'tokenId' | 'secret' | 'expiresMs'> {
    const nowMs = Math.floor(this.#environment.nowMs())
    this.#database.run('DELETE FROM invite WHERE expiresMs < ?', nowMs)
    const open = this.#database.get<{ count: number }>('SELECT count(*) AS count FROM invite')
    if ((open?.count ?? 0) >= INVITES_MAX) {
      throw new ShoalError('too-large', 'make an invite token', {
        why: `${INVITES_MAX} are open already`,
        next: 'Wait until some of them expire.',
      })
    }
    const tokenId = this.#environment.randomBytes(ID_BYTES)
    const secret = this.#environment.randomBytes(SECRET_BYTES)
    const expiresMs = nowMs + Math.floor(lifetimeMs)
    const id = tokenId.toString('hex')
    this.#database.run('INSERT INTO invite VALUES (?, ?, ?, NULL)', id, secret, expiresMs)
    return { tokenId, secret, expiresMs }
  }

  /**
   * The secret of an open invitation that this certificate may show.
   * @throws ShoalError `permission-denied` (unknown, or another node's by now), `expired`
   */
  secretFor(tokenId: Buffer, fingerprint: string): Buffer {
    const row = this.#database.get<InviteRow>(
      'SELECT secret, expiresMs, boundTo FROM invite WHERE id = ?',
      tokenId.toString('hex'),
    )
    const what = 'use the invite token'
    const next = 'Make a new one with "shoal invite".'
    if (row === undefined) {
      throw new ShoalError('permission-denied', what, { why: 'it is not known here', next })
    }
    if (row.expiresMs < this.#environment.nowMs()) {
      throw new ShoalError('expired', what, { why: 'it has expired', next })
    }
    if (row.boundTo !== null && row.boundTo !== fingerprint) {
      throw new ShoalError('permission-denied', what, { why: 'it was used by another node', next })
    }
    return bufferOf(row.secret)
  }

  /**
   * Uses the invitation up for this certificate, on disk when it returns. It may do so again.
   * @throws ShoalError as `secretFor`
   */
  bind(tokenId: Buffer, fingerprint: string): void {
    this.secretFor(tokenId, fingerprint)
    const bound = this.#database.run(
      'UPDATE invite SET boundTo = ? WHERE id = ? AND (boundTo IS NULL OR boundTo = ?)',
      fingerprint,
      tokenId.toString('hex'),
      fingerprint,
    )
    assert(bound === 1, 'the invitation that was just read can be bound')
  }

  /** Idempotent. */
  close(): void {
    this.#database.close()
  }
}
