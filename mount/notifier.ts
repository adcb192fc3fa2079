/**
 * The notifier thread: writes notifications to the kernel, in order, and says how far it got. A write may
 * wait for a directory that somebody has locked while the loop serves it, which is why nobody ever waits
 * for this thread.
 */
import { writeSync } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import { encodeNotification } from './driver/notifications.ts'
import type { LoopToNotifier, NotifierData, NotifierToMain } from './messages.ts'

/** @param main where `told` goes */
export function runNotifier(data: NotifierData, main: MessagePort): void {
  data.loop.on('message', (message: LoopToNotifier) => {
    const { fd } = message
    if (fd === null) {
      data.loop.close()
      main.close()
      return
    }
    for (const notification of message.notifications) write(fd, encodeNotification(notification))
    const { lseq } = message
    if (lseq !== null) main.postMessage({ type: 'told', lseq } satisfies NotifierToMain)
  })
}

/** The kernel answers ENOENT where it had cached nothing, which is fine, and ENODEV when it is over. */
function write(fd: number, bytes: Buffer): void {
  try {
    writeSync(fd, bytes)
  } catch {
    // Nothing was cached, or nothing is mounted any more: there is nobody to tell.
  }
}
