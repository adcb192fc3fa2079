/**
 * Reads the messages of `mount-link.ts` out of control frames, and checks them: a mount process is one of
 * ours, but whoever may open the control socket may write to it. `encodeEvent` writes them.
 */
import { ShoalError } from '../errors.ts'
import { newLseq, parseHash, parseSourceId, parseStreamId } from '../ids.ts'
import type { Hash, Lseq, SourceId, StreamId } from '../ids.ts'
import { flag, mapped, nullable, object, parse, text, whole } from '../encoding/schema.ts'
import type { Schema } from '../encoding/schema.ts'
import { messageOfEvent } from './control-frames.ts'
import type { ControlFrame } from './control-frames.ts'
import type { DaemonMessage, MountMessage } from './mount-link.ts'

const PATH_MAX_UNITS = 4096
const SENTENCE_MAX_UNITS = 2048
const MOUNT_ID_MAX_UNITS = 64

const stream: Schema<StreamId> = mapped(text(32), parseStreamId)
const hash: Schema<Hash> = mapped(text(64), parseHash)
const lseq: Schema<Lseq> = mapped(whole(), newLseq)
const source: Schema<SourceId> = mapped(whole(), parseSourceId)
const mountId = text(MOUNT_ID_MAX_UNITS, 1)
const sentence = text(SENTENCE_MAX_UNITS)

const fieldsByMountMessage = {
  attach: object({
    mountId,
    bucket: stream,
    bucketName: text(64),
    prefix: text(PATH_MAX_UNITS),
    directory: text(PATH_MAX_UNITS),
    pid: whole(1),
    source,
    passthrough: flag(),
  }),
  rung: object({ bucket: stream, lseq }),
  told: object({ bucket: stream, lseq }),
  fetch: object({ id: whole(), bucket: stream, hash, size: whole(), format: whole(1, 255) }),
  failed: object({
    mountId,
    code: text(MOUNT_ID_MAX_UNITS),
    what: sentence,
    why: sentence,
    next: nullable(sentence),
  }),
  detached: object({ mountId, reason: sentence }),
}

const fieldsByDaemonMessage = {
  attached: object({ lseq }),
  rung: object({ bucket: stream, lseq }),
  fetched: object({ id: whole(), error: nullable(sentence) }),
  unmount: object({ lazy: flag() }),
}

/** What a mount says. @throws ShoalError `malformed` */
export function parseMountMessage(frame: ControlFrame): MountMessage {
  const what = 'read a message of a mount'
  const value = messageOfEvent(frame)
  const { type } = frame
  switch (type) {
    case 'attach':
      return { type, ...parse(fieldsByMountMessage.attach, value, what) }
    case 'rung':
      return { type, ...parse(fieldsByMountMessage.rung, value, what) }
    case 'told':
      return { type, ...parse(fieldsByMountMessage.told, value, what) }
    case 'fetch':
      return { type, ...parse(fieldsByMountMessage.fetch, value, what) }
    case 'failed':
      return { type, ...parse(fieldsByMountMessage.failed, value, what) }
    case 'detached':
      return { type, ...parse(fieldsByMountMessage.detached, value, what) }
    default:
      throw new ShoalError('malformed', what, { why: `no mount says "${type}"` })
  }
}

/** What the daemon says to a mount. @throws ShoalError `malformed` */
export function parseDaemonMessage(frame: ControlFrame): DaemonMessage {
  const what = 'read a message of the daemon'
  const value = messageOfEvent(frame)
  const { type } = frame
  switch (type) {
    case 'attached':
      return { type, ...parse(fieldsByDaemonMessage.attached, value, what) }
    case 'rung':
      return { type, ...parse(fieldsByDaemonMessage.rung, value, what) }
    case 'fetched':
      return { type, ...parse(fieldsByDaemonMessage.fetched, value, what) }
    case 'unmount':
      return { type, ...parse(fieldsByDaemonMessage.unmount, value, what) }
    default:
      throw new ShoalError('malformed', what, { why: `the daemon never says "${type}"` })
  }
}
