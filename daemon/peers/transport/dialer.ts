/**
 * Keeps one control connection to each other member: dials those that have none, again and again with
 * growing pauses, and stops for those that do. Which of two connections of a pair stays when both sides
 * dialled at once is decided in `peers.ts`; here a member simply has a connection or has not.
 */
import type { Environment } from '../../../protocol/environment.ts'
import { messageOf } from '../../../protocol/errors.ts'
import type { NodeId } from '../../../protocol/ids.ts'
import type { NodeIdentity } from '../backend.ts'
import { upgrade } from './socket.ts'
import type { PeerPath, PeerSocket } from './socket.ts'
import { connectPinned } from './tls.ts'
import type { Pinned } from './tls.ts'

/** The first pause: a daemon that restarts is back after some hundred milliseconds. */
const PAUSE_MIN_MS = 100
/** The longest: a machine that was off for a week is found again within it. */
const PAUSE_MAX_MS = 10_000

/**
 * Pause before the next attempt: doubles up to the bound, a random half of it taken off, so that nodes
 * that failed together do not come back together.
 * @param failures attempts that failed so far, from 0 @param chance 0 to 255
 */
export function pauseMs(failures: number, chance: number): number {
  const whole = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** Math.min(failures, 16))
  return whole / 2 + (whole / 2) * (chance / 255)
}

export interface Target extends Pinned {
  readonly node: NodeId
}

export interface DialerOptions {
  readonly environment: Environment
  readonly identity: NodeIdentity
  readonly connected: (node: NodeId, socket: PeerSocket) => void
}

interface Attempt {
  target: Target
  failures: number
  state: 'waiting' | 'dialling' | 'satisfied'
  problem: string | null
  cancel: (() => void) | null
}

/**
 * Dials one node and upgrades.
 * @throws ShoalError as `connectPinned` and `upgrade` do
 */
export async function dial(
  identity: Pick<NodeIdentity, 'keyPem' | 'certificatePem'>,
  to: Pinned,
  path: PeerPath,
): Promise<PeerSocket> {
  return upgrade(await connectPinned(identity, to), path)
}

export class Dialer {
  readonly #options: DialerOptions
  readonly #attemptByNode = new Map<NodeId, Attempt>()
  #closed = false

  constructor(options: DialerOptions) {
    this.#options = options
  }

  /** The members to be connected with, all of them; others are dialled no more. */
  aim(targets: readonly Target[]): void {
    const wanted = new Set(targets.map((target) => target.node))
    for (const [node, attempt] of this.#attemptByNode) {
      if (wanted.has(node)) continue
      attempt.cancel?.()
      this.#attemptByNode.delete(node)
    }
    for (const target of targets) {
      const known = this.#attemptByNode.get(target.node)
      if (known === undefined) {
        const attempt: Attempt = {
          target,
          failures: 0,
          state: 'waiting',
          problem: null,
          cancel: null,
        }
        this.#attemptByNode.set(target.node, attempt)
        this.#schedule(attempt, 0)
      } else if (known.target.address !== target.address) {
        known.target = target
        this.#again(known)
      } else {
        known.target = target
      }
    }
  }

  /** A connection with this member has come so far that both sides know each other, whoever dialled. */
  satisfied(node: NodeId): void {
    const attempt = this.#attemptByNode.get(node)
    if (attempt === undefined) return
    attempt.state = 'satisfied'
    attempt.failures = 0
    attempt.problem = null
    attempt.cancel?.()
    attempt.cancel = null
  }

  /** The member's last connection is gone: dial again. */
  lost(node: NodeId, why: string): void {
    const attempt = this.#attemptByNode.get(node)
    if (attempt !== undefined && attempt.cancel === null) this.#failed(attempt, why)
  }

  /** Why the last attempt failed, null when none did. */
  problem(node: NodeId): string | null {
    return this.#attemptByNode.get(node)?.problem ?? null
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true
    for (const attempt of this.#attemptByNode.values()) attempt.cancel?.()
    this.#attemptByNode.clear()
  }

  #again(attempt: Attempt): void {
    if (attempt.state !== 'waiting') return
    attempt.failures = 0
    attempt.cancel?.()
    this.#schedule(attempt, 0)
  }

  #schedule(attempt: Attempt, delayMs: number): void {
    attempt.cancel = this.#options.environment.after(delayMs, () => {
      attempt.cancel = null
      void this.#dial(attempt)
    })
  }

  async #dial(attempt: Attempt): Promise<void> {
    attempt.state = 'dialling'
    const { node } = attempt.target
    try {
      const socket = await dial(this.#options.identity, attempt.target, '/v1/control')
      if (this.#closed || this.#attemptByNode.get(node) !== attempt) socket.close('not wanted')
      else this.#options.connected(node, socket)
    } catch (cause) {
      if (attempt.state === 'dialling') this.#failed(attempt, messageOf(cause))
    }
  }

  #failed(attempt: Attempt, problem: string): void {
    attempt.state = 'waiting'
    attempt.problem = problem
    if (this.#closed || this.#attemptByNode.get(attempt.target.node) !== attempt) return
    const chance = this.#options.environment.randomBytes(1)[0] ?? 0
    this.#schedule(attempt, pauseMs(attempt.failures, chance))
    attempt.failures += 1
  }
}
