/**
 * What a mount process and the daemon say to each other on the control socket, after the mount process
 * has said `attach`. Frames are those of `control.ts`. The daemon is needed only for what is not on this
 * machine, so either side may vanish at any time: the mount reconnects and attaches again.
 */
import type { Hash, Lseq, SourceId, StreamId } from '../ids.ts'

/** Mount to daemon. */
export type MountMessage =
  | {
      readonly type: 'attach'
      /** Random, made by whoever spawned the mount process; names its files under `run/mounts/`. */
      readonly mountId: string
      readonly bucket: StreamId
      readonly bucketName: string
      readonly prefix: string
      readonly directory: string
      readonly pid: number
      readonly source: SourceId
      readonly passthrough: boolean
    }
  /** "I committed up to here": at most one in flight; the daemon then reads the log. */
  | { readonly type: 'rung'; readonly bucket: StreamId; readonly lseq: Lseq }
  /** "The kernel has been told of everything up to here." */
  | { readonly type: 'told'; readonly bucket: StreamId; readonly lseq: Lseq }
  /** "An open waits for this content." Answered by `fetched`. */
  | {
      readonly type: 'fetch'
      readonly id: number
      readonly bucket: StreamId
      readonly hash: Hash
      readonly size: number
      readonly format: number
    }
  /** Before `attach`: it could not mount, and ends. After: unmounted, and ends. */
  | {
      readonly type: 'failed'
      readonly mountId: string
      readonly code: string
      readonly what: string
      readonly why: string
      readonly next: string | null
    }
  | { readonly type: 'detached'; readonly mountId: string; readonly reason: string }

/** Daemon to mount. */
export type DaemonMessage =
  | { readonly type: 'attached'; readonly lseq: Lseq }
  /** "Somebody else committed up to here": the mount reads the log, tells the kernel, answers `told`. */
  | { readonly type: 'rung'; readonly bucket: StreamId; readonly lseq: Lseq }
  | { readonly type: 'fetched'; readonly id: number; readonly error: string | null }
  /** Publish what is closed, unmount (lazily when busy and `lazy`), exit. */
  | { readonly type: 'unmount'; readonly lazy: boolean }
