/**
 * What a client is told of a bucket's changes, whichever way it listens: the steps of the feed as JSON, for
 * as long as the client may list what it follows. Whether it may is asked before each step, so that a key
 * that was removed hears nothing more.
 */
import { isAllowed } from '../../../../protocol/policy.ts'
import type { Principal } from '../../../../protocol/policy.ts'
import type { FeedStep } from '../../../feed/feed.ts'
import { valueOfStep } from '../../../feed/value.ts'
import { accessDenied } from '../../authorize.ts'
import type { HttpBackend, HttpFollower } from '../../backend.ts'
import type { BucketTarget } from '../../exchange.ts'
import { parameterOf } from '../../wire/request.ts'
import type { S3Request } from '../../wire/request.ts'
import { listedPrefix } from '../listing/page.ts'

export interface Told {
  readonly cursor: string
  readonly type: FeedStep['type']
  /** JSON on one line. */
  readonly text: string
}

export interface Listener {
  readonly backend: HttpBackend
  readonly principal: Principal
  readonly request: S3Request
}

/**
 * Begins to follow what the request asks for: `prefix`, and `cursor` or the header that browsers send when
 * they connect again.
 * @throws ShoalError `busy`
 */
export function openFollower(
  { backend, request }: Listener,
  { bucket }: BucketTarget,
): HttpFollower {
  const cursor = request.headers.get('last-event-id') ?? parameterOf(request, 'cursor') ?? null
  const prefix = listedPrefix(request)
  return backend.follow({ stream: bucket.stream, prefix, cursor: cursor === '' ? null : cursor })
}

/**
 * Everything that is told until the follower is closed.
 * @throws S3Error `AccessDenied` once the client may no longer; ShoalError `no-such-bucket`
 */
export async function* tell(
  listener: Listener,
  target: BucketTarget,
  follower: HttpFollower,
): AsyncGenerator<Told> {
  for (;;) {
    checkStillAllowed(listener, target)
    const steps = await follower.next()
    if (steps === null) return
    checkStillAllowed(listener, target)
    for (const step of steps)
      yield { cursor: step.cursor, type: step.type, text: JSON.stringify(valueOfStep(step)) }
  }
}

function checkStillAllowed(
  { backend, principal, request }: Listener,
  { name, bucket }: BucketTarget,
): void {
  const now = backend.bucket(name)
  const asks = principal.type === 'access-key' ? currentPrincipal(backend, principal) : principal
  const resource = { bucket: name, key: listedPrefix(request), publicAccess: bucket.publicAccess }
  const isThere = now !== null && now.stream === bucket.stream
  if (!isThere || asks === null || !isAllowed(asks, 'list', resource)) throw accessDenied()
}

/** The same key as it is now; null where it has gone or ended. */
function currentPrincipal(
  backend: HttpBackend,
  { accessKeyId }: Principal & { type: 'access-key' },
): Principal | null {
  const credential = backend.credential(accessKeyId)
  if (credential === null) return null
  const { expiresMs, principal } = credential
  return expiresMs !== null && expiresMs <= backend.environment.nowMs() ? null : principal
}
