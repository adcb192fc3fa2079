/** A logger for tests that keeps what it was told. */
import type { LogEvent, Logger } from '../../daemon/logging.ts'

export function newTestLogger(): { readonly log: Logger; readonly events: LogEvent[] } {
  const events: LogEvent[] = []
  const event = (logged: LogEvent): void => {
    events.push(logged)
  }
  const log: Logger = {
    event,
    info: (message, fields = {}) => {
      event({ level: 'info', message, fields })
    },
    warning: (message, fields = {}, cause) => {
      event({ level: 'warning', message, fields, cause })
    },
    error: (message, fields = {}, cause) => {
      event({ level: 'error', message, fields, cause })
    },
  }
  return { log, events }
}
