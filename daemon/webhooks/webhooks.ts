/**
 * The webhooks of the cluster's buckets, as rows of its stream, and the deliveries of those that are this
 * machine's: the one on which a webhook was made posts it, so that each change is posted by one. While that
 * machine is away its webhooks wait; another one takes them over when they are made there.
 */
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import type { BucketName, NodeId } from '../../protocol/ids.ts'
import { encodeWebhook, webhookKey } from '../../protocol/record-codec.ts'
import type { WebhookRecord } from '../../protocol/records.ts'
import type { Buckets } from '../cluster/buckets.ts'
import type { ClusterState } from '../cluster/state.ts'
import type { FollowOptions } from '../feed/feed.ts'
import { formatCursor } from '../feed/cursor.ts'
import type { FeedVolume } from '../feed/feed.ts'
import type { Logger } from '../logging.ts'
import { Delivery } from './delivery.ts'
import type { DeliveryFollower, DeliveryState } from './delivery.ts'
import { Positions } from './positions.ts'
import { post } from './post.ts'

/** Each is a reader of the feed, which has room for a thousand. */
const WEBHOOKS_MAX = 256
/** As long as HMAC-SHA256's own output: more says nothing new. */
const SECRET_BYTES = 32

export interface WebhooksOptions {
  readonly environment: Environment
  readonly home: string
  readonly node: NodeId
  readonly state: ClusterState
  readonly buckets: Pick<Buckets, 'get' | 'write'>
  readonly volume: (stream: WebhookRecord['stream']) => FeedVolume | null
  readonly follow: (options: FollowOptions) => DeliveryFollower
  readonly log: Pick<Logger, 'warning'>
}

export interface WebhookStatus {
  readonly record: WebhookRecord
  /** The bucket's name. */
  readonly bucket: string
  /** null: another machine serves it. */
  readonly delivery: DeliveryState | null
}

export class Webhooks {
  readonly #options: WebhooksOptions
  readonly #positions: Positions
  readonly #deliveryById = new Map<string, Delivery>()
  #closed = false

  /** @throws ShoalError as a database does that cannot be opened */
  constructor(options: WebhooksOptions) {
    this.#options = options
    this.#positions = new Positions(options.home)
  }

  /** Serves those that are there now and no others; called when the cluster's rows have changed. */
  follow(): void {
    if (this.#closed) return
    const { state, node } = this.#options
    const own = new Map(
      state.webhooks().flatMap((record) => (record.node === node ? [[record.id, record]] : [])),
    )
    for (const [id, delivery] of this.#deliveryById) {
      if (own.has(id)) continue
      this.#deliveryById.delete(id)
      void delivery.close()
    }
    for (const record of own.values()) {
      if (!this.#deliveryById.has(record.id)) this.#serve(record)
    }
  }

  list(bucket: BucketName | null): WebhookStatus[] {
    const { state } = this.#options
    const stream = bucket === null ? null : this.#options.buckets.get(bucket).stream
    return state
      .webhooks()
      .filter((record) => stream === null || record.stream === stream)
      .map((record) => this.#statusOf(record))
  }

  /**
   * Makes one that this machine serves, from now on.
   * @throws ShoalError `no-such-bucket`, `invalid-argument` for a URL that cannot be posted to, `too-large`
   */
  async add(bucket: BucketName, prefix: string, url: string): Promise<WebhookStatus> {
    const { buckets, environment, node, state } = this.#options
    const { stream } = buckets.get(bucket)
    checkUrl(url)
    if (state.webhooks().length >= WEBHOOKS_MAX) {
      throw new ShoalError('too-large', 'make a webhook', {
        why: `there are ${WEBHOOKS_MAX} already`,
      })
    }
    const id = `wh_${environment.randomBytes(12).toString('hex')}`
    const secret = environment.randomBytes(SECRET_BYTES).toString('base64')
    const createdMs = Math.floor(environment.nowMs())
    const record: WebhookRecord = { id, stream, prefix, url, secret, node, createdMs }
    const volume = this.#options.volume(stream)
    if (volume !== null) {
      // Before anybody knows of it: what is written from here on is told.
      const place = { stream, origin: volume.identity().origin }
      this.#positions.set(id, formatCursor(place, volume.lastLseq()))
    }
    await buckets.write(new Map([[webhookKey(stream, id), encodeWebhook(record)]]))
    this.follow()
    return this.#statusOf(record)
  }

  /** @throws ShoalError `not-found` */
  async remove(id: string): Promise<WebhookStatus> {
    const record = this.#options.state.webhooks().find((known) => known.id === id)
    if (record === undefined) {
      throw new ShoalError('not-found', `find the webhook "${id}"`, {
        next: '"shoal webhooks list" shows them.',
      })
    }
    const status = this.#statusOf(record)
    await this.#options.buckets.write(new Map([[webhookKey(record.stream, id), null]]))
    this.follow()
    this.#positions.keep(new Set(this.#options.state.webhooks().map((known) => known.id)))
    return status
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([...this.#deliveryById.values()].map((delivery) => delivery.close()))
    this.#positions.close()
  }

  #serve(webhook: WebhookRecord): void {
    const { environment, follow, log, state } = this.#options
    const { id, url } = webhook
    const delivery = new Delivery({
      environment,
      webhook,
      bucket: state.bucketOfStream(webhook.stream)?.name ?? '',
      follow,
      position: {
        get: () => this.#positions.get(id),
        set: (cursor) => {
          // One that was removed is ending: its place is forgotten already.
          if (this.#deliveryById.has(id)) this.#positions.set(id, cursor)
        },
      },
      post: (message) => post(message, environment),
      failing: (cause) => {
        log.warning('a webhook is not taken', { id, host: new URL(url).host }, cause)
      },
    })
    this.#deliveryById.set(id, delivery)
  }

  #statusOf(record: WebhookRecord): WebhookStatus {
    const bucket = this.#options.state.bucketOfStream(record.stream)?.name ?? ''
    return { record, bucket, delivery: this.#deliveryById.get(record.id)?.state ?? null }
  }
}

/** @throws ShoalError `invalid-argument` */
function checkUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null
  const why =
    url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')
      ? 'it is no http:// or https:// URL'
      : url.username !== '' || url.password !== ''
        ? 'it carries a password, which logs would show; the messages are signed'
        : null
  if (why !== null) {
    throw new ShoalError('invalid-argument', `use "${text.slice(0, 200)}" as a webhook`, { why })
  }
}
