/**
 * Making and removing access keys: rows of the cluster's stream, so that a key opens its buckets through
 * every machine, and its end closes them there: requests, URLs that it signed, and change feeds. What a key
 * may do is decided by `protocol/policy.ts`; what belongs to an app by itself is in `access-keys.ts`.
 */
import { ShoalError } from '../../protocol/errors.ts'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { BucketName } from '../../protocol/ids.ts'
import type { RequestByType } from '../../protocol/messages/control.ts'
import {
  accessKeyKey,
  encodeAccessKeyRecord,
  encodeRevoked,
  revokedKey,
} from '../../protocol/record-codec.ts'
import type { AccessKeyRecord, Grant } from '../../protocol/records.ts'
import { APP_VERBS, keyOfApp, newKey } from './access-keys.ts'
import { REFRESH_WITHIN_MS } from './buckets.ts'
import type { BucketsOptions } from './buckets.ts'

export class AccessKeys {
  readonly #options: Omit<BucketsOptions, 'bucket'>

  constructor(options: Omit<BucketsOptions, 'bucket'>) {
    this.#options = options
  }

  /** @throws ShoalError `no-such-key` */
  get(id: string): AccessKeyRecord {
    const found = this.#options.state.accessKey(id)
    if (found !== null) return found
    throw new ShoalError('no-such-key', `find the access key "${id}"`, {
      why: 'there is none of that id',
      next: '"shoal keys list" shows them.',
    })
  }

  /** Keys of an app, of a bucket, or all (nulls), by the time they were made. */
  list(app: string | null, bucket: BucketName | null): AccessKeyRecord[] {
    return [...this.#options.state.accessKeys()]
      .filter((key) => app === null || key.app === app)
      .filter((key) => bucket === null || concerns(key, bucket))
      .sort((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1))
  }

  /**
   * Makes a key, on disk when it returns.
   * @throws ShoalError `no-such-bucket`, `invalid-argument`
   */
  async create(wanted: RequestByType['key-create']): Promise<AccessKeyRecord> {
    const { environment, state, refresh } = this.#options
    await refresh(REFRESH_WITHIN_MS)
    if (wanted.expiresMs !== null && wanted.expiresMs <= environment.nowMs()) {
      throw new ShoalError('invalid-argument', 'make an access key', {
        why: 'it would have expired already',
      })
    }
    const before = wanted.app === null ? null : keyOfApp(state, wanted.app)
    const grants = this.#grantsOf(wanted, before)
    const { app, expiresMs } = wanted
    const bucket = app === null ? null : (before?.bucket ?? grants[0]?.bucket ?? null)
    const key = newKey({ app, bucket, grants, expiresMs }, environment)
    await this.#commit(new Map([[accessKeyKey(key.id), encodeAccessKeyRecord(key)]]))
    return key
  }

  /**
   * Takes a key away for ever, on this machine when it returns and on connected ones within moments.
   * @throws ShoalError `no-such-key`
   */
  async remove(id: string): Promise<AccessKeyRecord> {
    await this.#options.refresh(REFRESH_WITHIN_MS)
    const key = this.get(id)
    const revokedMs = Math.floor(this.#options.environment.nowMs())
    await this.#commit(
      new Map([
        [accessKeyKey(id), null],
        [revokedKey(id), encodeRevoked({ revokedMs })],
      ]),
    )
    return key
  }

  #grantsOf(wanted: RequestByType['key-create'], before: AccessKeyRecord | null): Grant[] {
    const verbs = wanted.verbs ?? APP_VERBS
    if (wanted.scopes.length > 0) {
      for (const { bucket } of wanted.scopes) this.#checkBucket(bucket)
      return wanted.scopes.map((scope) => ({ ...scope, verbs }))
    }
    if (wanted.app === null) return [{ bucket: null, prefix: '', verbs }]
    if (before === null) {
      throw new ShoalError('invalid-argument', `make an access key for "${wanted.app}"`, {
        why: 'no app of that name has a key yet, and no bucket is named',
        next: 'Name what it may use with --bucket BUCKET or --bucket BUCKET:PREFIX/.',
      })
    }
    return before.grants.map((grant) => ({ ...grant, verbs: wanted.verbs ?? grant.verbs }))
  }

  #checkBucket(name: BucketName): void {
    if (this.#options.state.bucket(name) !== null) return
    throw new ShoalError('no-such-bucket', `make an access key for the bucket "${name}"`, {
      why: 'there is none of that name',
      next: `"shoal create ${name}" makes it.`,
    })
  }

  async #commit(rows: ReadonlyMap<string, Buffer | null>): Promise<void> {
    const volume = this.#options.cluster()
    volume.setConfig(rows, this.#options.caller)
    await this.#options.committed(CLUSTER_STREAM, await volume.durable())
  }
}

const concerns = (key: AccessKeyRecord, bucket: BucketName): boolean =>
  key.grants.some((grant) => grant.bucket === null || grant.bucket === bucket)
