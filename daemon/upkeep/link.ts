/**
 * What the daemon's main thread and its upkeep thread say to each other over a MessagePort. Both ends are one
 * build of this program, so nothing is parsed; every value here survives a structured clone.
 */
import type { NodeId, StreamId } from '../../protocol/ids.ts'
import type { CloseCommand } from '../thread.ts'

/** `workerData` of the upkeep thread. */
export interface UpkeepThreadData {
  readonly home: string
  readonly node: NodeId
}

/** A stream with its rows on this disk. */
export interface StoredStream {
  readonly stream: StreamId
  /** Absolute path of its folder. */
  readonly folder: string
}

/** Main thread to upkeep thread. */
export type UpkeepCommand =
  /** Every stream on this disk from now on: the cluster's, live buckets, and destroyed ones still in use. */
  { readonly type: 'streams'; readonly streams: readonly StoredStream[] } | CloseCommand

/** Upkeep thread to main thread. */
export type UpkeepReport =
  /** Contents that nothing referred to have been removed. */
  | { readonly type: 'collected'; readonly contents: number }
  /** Contents that were removed are wanted after all. */
  | { readonly type: 'wanted'; readonly stream: StreamId }
  | { readonly type: 'warning'; readonly message: string; readonly why: string }
