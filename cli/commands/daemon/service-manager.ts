/**
 * No command of its own: what a service manager is told by `shoal up` (sd_notify(3)): that the daemon answers, and that it is ending. Nothing is
 * told where nobody asked, and a manager that does not listen is no reason to fail.
 */
import { sendDatagram } from '../../../volume/libc.ts'

/** `Type=notify` of systemd.service(5): units that need this one start at READY. */
export type ServiceState = 'READY=1' | 'STOPPING=1'

/** @param variables those of the process; `NOTIFY_SOCKET` names the manager's socket */
export function notifyService(
  state: ServiceState,
  variables: Readonly<Record<string, string | undefined>>,
): void {
  const path = variables['NOTIFY_SOCKET'] ?? ''
  if (!/^[/@]/.test(path)) return
  try {
    sendDatagram(path, state)
  } catch {
    // It has gone away: nobody is left to be told.
  }
}
