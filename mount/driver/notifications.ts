/**
 * Notifications: what the driver tells the kernel without being asked, so that it drops what it has
 * cached. Only `notifier.ts` writes them: an INVAL_ENTRY waits in write(2) for the directory's lock, and
 * whoever serves requests must never wait for that.
 */
import { NOTIFY } from './constants.ts'

export type Notification =
  /** Attributes, and with `data` all cached pages (of a directory: its cached listing). */
  | { readonly type: 'inode'; readonly nodeId: number; readonly data: boolean }
  | { readonly type: 'entry'; readonly parent: number; readonly name: string }
  /** Every name must be looked up again. */
  | { readonly type: 'epoch' }

const HEADER_BYTES = 16

/** One notification as the device takes it: header with code and unique 0, then its body. */
export function encodeNotification(notification: Notification): Buffer {
  switch (notification.type) {
    case 'inode': {
      const body = Buffer.alloc(24)
      body.writeBigUInt64LE(BigInt(notification.nodeId), 0)
      // A negative offset stands for "attributes only"; 0 and 0 for everything.
      body.writeBigInt64LE(notification.data ? 0n : -1n, 8)
      return framed(NOTIFY.invalidateInode, body)
    }
    case 'entry': {
      const body = Buffer.alloc(16 + notification.name.length + 1)
      body.writeBigUInt64LE(BigInt(notification.parent), 0)
      body.writeUInt32LE(notification.name.length, 8)
      body.write(notification.name, 16, 'latin1')
      return framed(NOTIFY.invalidateEntry, body)
    }
    case 'epoch':
      return framed(NOTIFY.increaseEpoch, Buffer.alloc(0))
  }
}

function framed(code: number, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(HEADER_BYTES + body.length, 0)
  header.writeInt32LE(code, 4)
  return Buffer.concat([header, body])
}
