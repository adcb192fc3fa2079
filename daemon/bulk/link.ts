/**
 * What the daemon's main thread and its bulk thread say to each other over a MessagePort. Both ends are one
 * build of this program, so nothing is parsed; every value here survives a structured clone.
 */
import type { ErrorCode } from '../../protocol/errors.ts'
import type { NodeId, StreamId } from '../../protocol/ids.ts'
import type { FetchPriority } from '../../protocol/messages/peer-bulk.ts'
import type { ContentReference } from '../../volume/contents/content.ts'
import type { CloseCommand } from '../thread.ts'

/** `workerData` of the bulk thread. */
export interface BulkThreadData {
  /** HOME: the thread opens the content store there by itself. */
  readonly home: string
  readonly keyPem: string
  readonly certificatePem: string
}

/** A member that contents may be fetched from. */
export interface BulkPeer {
  readonly node: NodeId
  readonly address: string
  readonly fingerprint: string
  readonly mayLoopback: boolean
}

/** Main thread to bulk thread. */
export type BulkCommand =
  /** All members that are connected now, the nearest first. */
  | { readonly type: 'peers'; readonly peers: readonly BulkPeer[] }
  | {
      readonly type: 'fetch'
      readonly id: number
      readonly stream: StreamId
      readonly content: ContentReference
      readonly priority: FetchPriority
    }
  /** Somebody waits for it now. */
  | { readonly type: 'raise'; readonly id: number }
  | { readonly type: 'cancel'; readonly id: number }
  | CloseCommand

/** Bulk thread to main thread. */
export type BulkReport =
  /** Whole, verified and durable here; or why not. */
  | {
      readonly type: 'fetched'
      readonly id: number
      readonly problem: { readonly code: ErrorCode; readonly why: string } | null
    }
  /** Bytes of contents since the last report of this peer. */
  | { readonly type: 'received'; readonly node: NodeId; readonly bytes: number }
  | { readonly type: 'warning'; readonly node: NodeId | null; readonly message: string }
  | { readonly type: 'closed' }
