/**
 * The tables of `names.db` and their versions. `openSchema` makes them or refuses what it does not know.
 *
 * Three kinds: *replicated* rows (`node`, `version`, `attribute`, `extended`, `config`, `opaque`: what
 * travels, with the origin and seq that wrote it), *derived* columns and tables (`view_*`, counters, heads,
 * `anomaly`: a pure function of the replicated rows, rebuildable), and *local* ones (`self`, `origin`,
 * `renounced`, `doubtful`, `log`, `staging`, `unsynced`, `want`, `request`: this machine's business).
 *
 * A node without a place row of its own (a link or version came before it, or something names it as a
 * parent) is a placeholder with hlc 0. Parents, previous parents and groups are local row numbers.
 *
 * `version.rank` is derived too: 0 the head that is shown (`node.head_*` names it), 1 a head beside it, 2
 * superseded. So an inode's heads are found without a look at its old versions, and an index grows only
 * where versions are in conflict.
 *
 * There is one index on names, (view_parent, view_key): `view_key` is the shown name's bytes, with `/`
 * behind a directory's, so that a depth-first walk in index order is the order in which S3 lists keys.
 * Normally the shown place is the one in the row; only anomalies (see `view/`) make them differ.
 *
 * What an operation costs is mostly the pages that its commit writes (about 6 us each) and the depth of the
 * trees it looks into, so every index has to earn its page. `version` has row ids because rows with inline
 * bytes in a tree without them make it deep: finding a head took four times as long.
 */
import { bytesOfHex, ROOT_UID } from '../../../protocol/ids.ts'
import { ShoalError } from '../../../protocol/errors.ts'
import { KINDS } from '../../../protocol/rows.ts'
import type { Hlc } from '../../../protocol/stamps.ts'
import type { Database } from './database.ts'

/** Stands in `PRAGMA user_version` and in `self.schema`, which every write transaction reads (rule 25). */
export const SCHEMA_VERSION = 1

const TABLES = `
CREATE TABLE self(
  id INTEGER PRIMARY KEY CHECK (id = 1), schema INT NOT NULL, stream BLOB NOT NULL, origin INT NOT NULL,
  seq INT NOT NULL, hlc INT NOT NULL, lseq INT NOT NULL, chain BLOB NOT NULL, last_node INT NOT NULL,
  log_bytes INT NOT NULL, anomalies INT NOT NULL, sentinel TEXT NOT NULL);
CREATE TABLE origin(
  alias INTEGER PRIMARY KEY, id16 BLOB NOT NULL UNIQUE, vector INT NOT NULL DEFAULT 0,
  chain BLOB, chain_seq INT NOT NULL DEFAULT 0);
CREATE TABLE renounced(origin INTEGER PRIMARY KEY, seq INT NOT NULL);
CREATE TABLE doubtful(
  origin INT NOT NULL, kind INT NOT NULL, id INT NOT NULL, key BLOB NOT NULL, hlc INT NOT NULL,
  seq INT NOT NULL, PRIMARY KEY (origin, kind, id, key, hlc)) WITHOUT ROWID;
CREATE INDEX doubtful_operation ON doubtful(origin, seq);

CREATE TABLE node(
  id INTEGER PRIMARY KEY, uid16 BLOB NOT NULL UNIQUE, ino INT NOT NULL, kind INT NOT NULL,
  view_parent INT, view_key BLOB, links INT NOT NULL DEFAULT 0, entries INT NOT NULL DEFAULT 0,
  subdirectories INT NOT NULL DEFAULT 0, changed INT NOT NULL DEFAULT 0, modified INT NOT NULL DEFAULT 0,
  head_hlc INT, head_origin INT,
  rdev INT NOT NULL DEFAULT 0, mode INT, uid INT, gid INT, mtime INT, mtime_ns INT,
  implied INT NOT NULL DEFAULT 0, deleted INT NOT NULL DEFAULT 0, parent INT, name BLOB, seen BLOB,
  previous_parent INT, previous_name BLOB, grp INT,
  hlc INT NOT NULL DEFAULT 0, origin INT NOT NULL DEFAULT 0, seq INT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX node_view ON node(view_parent, view_key) WHERE view_key IS NOT NULL;
CREATE INDEX node_link ON node(ino) WHERE ino <> id;

CREATE TABLE version(
  ino INT NOT NULL, hlc INT NOT NULL, origin INT NOT NULL, seq INT NOT NULL, rank INT NOT NULL,
  size INT NOT NULL, format INT NOT NULL, hash BLOB NOT NULL, mtime INT NOT NULL, mtime_ns INT NOT NULL,
  etag TEXT NOT NULL, context BLOB NOT NULL, exceptions BLOB NOT NULL, headers TEXT, metadata TEXT,
  checksums TEXT, inline BLOB, UNIQUE (ino, hlc, origin));
CREATE INDEX version_content ON version(hash) WHERE inline IS NULL;
CREATE INDEX version_conflict ON version(ino) WHERE rank = 1;
CREATE TABLE attribute(
  ino INTEGER PRIMARY KEY, mode INT, uid INT, gid INT, atime INT, atime_ns INT, mtime INT, mtime_ns INT,
  for_hlc INT, for_origin INT, hlc INT NOT NULL, origin INT NOT NULL, seq INT NOT NULL);
CREATE TABLE extended(
  ino INT NOT NULL, name BLOB NOT NULL, value BLOB, hlc INT NOT NULL, origin INT NOT NULL,
  seq INT NOT NULL, PRIMARY KEY (ino, name)) WITHOUT ROWID;
CREATE TABLE config(
  key TEXT PRIMARY KEY, value BLOB, hlc INT NOT NULL, origin INT NOT NULL, seq INT NOT NULL) WITHOUT ROWID;
CREATE TABLE opaque(
  key BLOB PRIMARY KEY, bytes BLOB NOT NULL, hlc INT NOT NULL, origin INT NOT NULL, seq INT NOT NULL);

CREATE TABLE anomaly(node INTEGER PRIMARY KEY, why INT NOT NULL, parent INT NOT NULL, name BLOB NOT NULL, class INT);
CREATE INDEX anomaly_slot ON anomaly(parent, name);

CREATE TABLE log(
  lseq INTEGER PRIMARY KEY, origin INT NOT NULL, seq INT NOT NULL, whole INT NOT NULL, source INT NOT NULL,
  hlc INT NOT NULL, position INT NOT NULL, rows BLOB NOT NULL, changes TEXT NOT NULL, chain BLOB);
CREATE UNIQUE INDEX log_original ON log(origin, seq) WHERE whole = 1;
CREATE TABLE staging(
  ino INT NOT NULL, id INT NOT NULL, path TEXT NOT NULL, closed INT NOT NULL, base_hlc INT, base_origin INT,
  context BLOB NOT NULL, exceptions BLOB NOT NULL, PRIMARY KEY (ino, id)) WITHOUT ROWID;
CREATE INDEX staging_closed ON staging(ino) WHERE closed = 1;
CREATE TABLE unsynced(hash BLOB PRIMARY KEY, size INT NOT NULL, format INT NOT NULL) WITHOUT ROWID;
CREATE TABLE want(hash BLOB PRIMARY KEY, size INT NOT NULL, format INT NOT NULL, lseq INT NOT NULL) WITHOUT ROWID;
CREATE TABLE request(id TEXT PRIMARY KEY, ino INT NOT NULL, hlc INT NOT NULL, origin INT NOT NULL,
  created INT NOT NULL, made_ms INT NOT NULL) WITHOUT ROWID;
`

/**
 * Makes the tables of an empty database, or checks the version of one that has them.
 * To be called under the write lock. @returns whether they were made
 * @throws ShoalError `incompatible` for a database of a later shoal
 */
export function openSchema(db: Database, rootHlc: Hlc): boolean {
  const version = db.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0
  if (version === SCHEMA_VERSION) return false
  if (version !== 0) {
    throw new ShoalError('incompatible', `open ${db.path}`, {
      why: `its schema is ${version}, this shoal knows ${SCHEMA_VERSION}`,
      next: 'use the shoal that wrote it, or a later one',
    })
  }
  db.exec(TABLES)
  db.run(
    `INSERT INTO node(id, uid16, ino, kind, hlc, changed, modified) VALUES (1, ?, 1, ?, 1, ?, ?)`,
    bytesOfHex(ROOT_UID),
    KINDS.indexOf('directory'),
    rootHlc,
    rootHlc,
  )
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
  return true
}
