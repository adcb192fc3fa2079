/**
 * Every bound of the product, each with its reason. A queue, cache, message or name that has no line here
 * has no bound, which is a fault.
 */
export const KIB = 1024
export const MIB: number = 1024 * KIB

/** S3's bound on a key, in bytes of UTF-8. */
export const KEY_MAX_BYTES = 1024
/** POSIX NAME_MAX of every file system people know; longer names are shown escaped. */
export const NAME_MAX_BYTES = 255
export const BUCKET_NAME_MIN = 3
export const BUCKET_NAME_MAX = 63
/** Linux PATH_MAX less the NUL: a longer symlink target cannot be followed anyway. */
export const SYMLINK_MAX_BYTES = 4095
/** ext4's EXT4_LINK_MAX: what programs that hard-link much (backup tools) already live with. */
export const LINK_MAX = 65_000
/** Linux XATTR_SIZE_MAX and XATTR_NAME_MAX. */
export const XATTR_VALUE_MAX_BYTES: number = 64 * KIB
export const XATTR_NAME_MAX_BYTES = 255
/** Extended attributes of one file together: one row each, all read at once by listxattr (64 KiB there too). */
export const XATTR_COUNT_MAX = 512

/**
 * Contents up to this size live in the row and travel with it: no file, no second round trip. 4 KiB cost
 * 28 us in the transaction where a file costs 25 us to make and a folder sync to keep, so the row wins up
 * to about one database page.
 */
export const INLINE_MAX_BYTES: number = 4 * KIB
/** Leaf of the piece tree. Whole-file BLAKE3 up to here (equal to b3sum); 7.1 GB/s at this size. */
export const PIECE_BYTES: number = 256 * KIB
/** Children of an inner node of the piece tree: one node is 32 KiB on the wire, 1 TiB has three levels. */
export const PIECE_FANOUT = 1024
/** S3's bound on an object, 5 TiB; its leaf hashes take 640 MiB, the most that we ever read at once. */
export const CONTENT_MAX_BYTES: number = 5 * 1024 * 1024 * MIB

/** S3: at most 2 KiB of user metadata; system headers as much again for our own edges. */
export const METADATA_MAX_BYTES: number = 2 * KIB
export const HEADERS_MAX_BYTES: number = 4 * KIB

/** A control message between our own processes on one machine. */
export const CONTROL_FRAME_MAX_BYTES: number = MIB
/** A frame between peers: a 256 KiB piece or a batch of rows with room, far below what hurts memory. */
export const PEER_FRAME_MAX_BYTES: number = MIB
/** Rows that one operation may carry: a rename over a target with shadows is far below. */
export const ROWS_PER_OPERATION_MAX = 4096
/** Encoded rows of one operation: an inline content, metadata and 64 KiB xattr with room. */
export const OPERATION_MAX_BYTES: number = 512 * KIB
/** Bytes of rows that a batch or page aims at; one operation more may follow, so this and that stay below the frame. */
export const BATCH_TARGET_BYTES: number = 256 * KIB
/** Nesting of a message; ours are at most five deep. */
export const MESSAGE_DEPTH_MAX = 16

/** Rows applied in one transaction of a bulk writer, so that small writers wait at most some milliseconds. */
export const APPLY_ROWS_MAX = 100
/** The log is trimmed by size alone; a reader behind the trim starts afresh. */
export const LOG_MAX_BYTES: number = 64 * MIB
/** Above this the write-ahead log is checkpointed to its end under the write lock. */
export const WAL_MAX_BYTES: number = 64 * MIB

/** Rows from a clock this far ahead are taken; further ahead the connection is parked. */
export const CLOCK_AHEAD_MAX_MS = 600_000
/** What a received stamp may add to our own clock. */
export const CLOCK_STEP_MAX_MS = 60_000

/** Full mesh up to this many members (overlay networks come later). */
export const MEMBERS_MAX = 64
/** How long a batch waits for what it depends on (rule 12). */
export const BATCH_HOLD_MAX_MS = 2_000
/** Presigned URLs: S3's own bound, seven days. */
export const PRESIGN_MAX_SECONDS = 604_800
/** Presigned URLs and signed headers: how far a client's clock may be off. */
export const SIGNATURE_SKEW_MAX_MS = 900_000

/**
 * A name in a row (rule 7: as long as people like). A key has 1,024 bytes and a merge may append suffixes;
 * four times that leaves room, and an index entry of SQLite still fits few pages.
 */
export const ROW_NAME_MAX_BYTES: number = 4 * KIB
/** Origins in one context: 64 members, each with 16 incarnations that wrote the same inode. */
export const CONTEXT_ORIGINS_MAX = 1024
/** Dots that one version lists as not replaced: its concurrent siblings, a handful in practice. */
export const EXCEPTIONS_MAX = 1024
/** `access/<stream>/<prefix>` with a prefix as long as a key is the longest. */
export const CONFIG_KEY_MAX_BYTES: number = 2 * KIB
/** A member's certificate or a policy, with room. */
export const CONFIG_VALUE_MAX_BYTES: number = 64 * KIB
/** Six algorithms of at most 88 base64 digits each, with their names. */
export const CHECKSUMS_MAX_BYTES: number = KIB
/** 32 hex digits, `-` and a part count; other stores' ETags are copied as they are. */
export const ETAG_MAX_BYTES = 256
/** Headers, metadata entries or checksums of one version; 2 KiB of metadata hold no more in practice. */
export const HEADER_COUNT_MAX = 256
/** Key of a row that only newer nodes know: an id or two and a name. */
export const OPAQUE_KEY_MAX_BYTES: number = 8 * KIB
/** Origins in one vector: every incarnation of every member that ever wrote to the stream; 96 KiB of bytes. */
export const VECTOR_ORIGINS_MAX = 4096
/** S3's bound on one object. */
export const OBJECT_MAX_BYTES: number = 5 * 1024 * 1024 * MIB

/** Streams that one HELLO names: 83 bytes each, so that it stays below a frame. */
export const HELLO_STREAMS_MAX = 8192
/** Operations in one message: the smallest has some 60 bytes, and a frame 1 MiB. */
export const OPERATIONS_PER_MESSAGE_MAX = 16_384
/** Ranges of pieces in one GET or MISSING; who lacks more asks again. */
export const PIECE_RANGES_MAX = 1024
/** What a receiver may have on its way at once: 2 x bandwidth x delay, at most. */
export const CREDIT_MAX_BYTES: number = 8 * MIB
/** Buckets that a joining node may bring along: each is named in one message. */
export const CARRIED_BUCKETS_MAX = 4096
