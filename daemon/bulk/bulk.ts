/**
 * Contents between this node and others, as the rest of the daemon has it: what is wanted here is fetched
 * on the bulk thread, what others want is served, and both are counted.
 */
import type { Environment } from '../../protocol/environment.ts'
import type { NodeId, StreamId } from '../../protocol/ids.ts'
import type { FetchPriority } from '../../protocol/messages/peer-bulk.ts'
import type { ContentReference, ContentStore } from '../../volume/contents/content.ts'
import type { Volume } from '../../volume/volume.ts'
import type { PeerSocket } from '../peers/transport/socket.ts'
import type { BulkCommand, BulkPeer, BulkReport, BulkThreadData } from './link.ts'
import { RateMeter } from './rate.ts'
import { FetchSchedule } from './schedule.ts'
import { BulkServer } from './serve.ts'
import { Thread } from '../thread.ts'

/** Sockets of one member: a restarted thread's old one may linger. */
const SOCKETS_PER_NODE_MAX = 8

export interface BulkOptions {
  readonly environment: Environment
  readonly contents: ContentStore
  /** Entry of the bulk thread, and what it begins with. */
  readonly entry: URL
  readonly data: BulkThreadData
  readonly volume: (stream: StreamId) => Pick<Volume, 'wanted' | 'arrived' | 'refersTo'> | null
  readonly log: (
    level: 'warning' | 'error',
    message: string,
    node: NodeId | null,
    cause?: unknown,
  ) => void
}

export class Bulk {
  readonly #options: BulkOptions
  readonly #worker: Thread<BulkCommand, BulkReport>
  readonly #schedule: FetchSchedule
  readonly #socketsByNode = new Map<NodeId, Set<PeerSocket>>()
  readonly #receivedByNode = new Map<NodeId, RateMeter>()
  readonly #sentByNode = new Map<NodeId, RateMeter>()

  constructor(options: BulkOptions) {
    this.#options = options
    const { environment, contents, entry, data, volume, log } = options
    const failed = (cause: unknown): void => {
      log('error', 'contents could not be fetched', null, cause)
    }
    this.#schedule = new FetchSchedule({
      environment,
      contents,
      volume,
      send: (command) => {
        this.#worker.send(command)
      },
      failed,
    })
    this.#worker = new Thread({
      environment,
      entry,
      data,
      report: (report) => {
        this.#reported(report)
      },
      started: (send) => {
        this.#schedule.restart(send)
      },
      failed,
    })
  }

  /** The members that are connected now, nearest first. */
  setPeers(peers: readonly BulkPeer[], streams: Iterable<StreamId>): void {
    this.#schedule.setPeers(peers, streams)
  }

  /** Rows of a bucket have come: there may be something to fetch. */
  rung(stream: StreamId): void {
    this.#schedule.rung(stream)
  }

  /** Resolves once the content is whole and durable here. @throws ShoalError as `Peers.fetch` */
  fetch(stream: StreamId, content: ContentReference, priority: FetchPriority): Promise<void> {
    return this.#schedule.fetch(stream, content, priority)
  }

  /** A member wants contents of us. */
  serve(node: NodeId, socket: PeerSocket): void {
    const sockets = this.#socketsByNode.get(node) ?? new Set()
    if (sockets.size >= SOCKETS_PER_NODE_MAX) return socket.close('too many connections at once')
    this.#socketsByNode.set(node, sockets.add(socket))
    socket.onClosed = () => {
      sockets.delete(socket)
    }
    const { environment, contents, volume, log } = this.#options
    void new BulkServer(
      {
        environment,
        contents,
        mayHave: (_node, stream, hash) => volume(stream)?.refersTo(hash) ?? false,
        sent: (to, bytes) => {
          this.#count(this.#sentByNode, to, bytes)
        },
        warn: (from, message) => {
          log('warning', message, from)
        },
      },
      socket,
      node,
    )
  }

  /** Closes the connections of everybody who is none of these any more. */
  keepOnly(nodes: ReadonlySet<NodeId>): void {
    for (const [node, sockets] of this.#socketsByNode) {
      if (!nodes.has(node)) for (const socket of sockets) socket.close('not a member any more')
    }
  }

  /** Bytes a second of contents, over the last seconds. */
  rates(node: NodeId): { readonly receivedPerSecond: number; readonly sentPerSecond: number } {
    const nowMs = this.#options.environment.monotonicMs()
    return {
      receivedPerSecond: this.#receivedByNode.get(node)?.perSecond(nowMs) ?? 0,
      sentPerSecond: this.#sentByNode.get(node)?.perSecond(nowMs) ?? 0,
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#schedule.close()
    this.keepOnly(new Set())
    await this.#worker.close()
  }

  #reported(report: BulkReport): void {
    if (report.type === 'fetched') this.#schedule.fetched(report.id, report.problem)
    else if (report.type === 'received') {
      this.#count(this.#receivedByNode, report.node, report.bytes)
    } else if (report.type === 'warning') {
      this.#options.log('warning', report.message, report.node)
    }
  }

  #count(meters: Map<NodeId, RateMeter>, node: NodeId, bytes: number): void {
    const meter = meters.get(node) ?? new RateMeter()
    meters.set(node, meter)
    meter.add(bytes, this.#options.environment.monotonicMs())
  }
}
