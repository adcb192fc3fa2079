/**
 * How many connections there may be, of one address and in all, and who goes when there are too many: the
 * one that has waited longest without a request being answered. So whoever holds connections open and says
 * nothing, or says it slowly, loses them to clients that do something, and an address can never take all.
 */
import type { Socket } from 'node:net'

/** Each idle one costs some 20 KiB and a descriptor; 20 times what a busy app keeps open. */
export const CONNECTIONS_MAX = 4096
/** Of one address: a proxy in front of many users stays below, and as many are left for the others. */
const CONNECTIONS_OF_ADDRESS_MAX = 2048

export class Connections {
  readonly #addressBySocket = new Map<Socket, string>()
  readonly #countByAddress = new Map<string, number>()
  /** Connections without a request that is being answered, by address; the longest waiting first. */
  readonly #waitingByAddress = new Map<string, Set<Socket>>()

  /** A client has connected. It may be turned away at once, or another one for it. */
  opened(socket: Socket): void {
    const address = groupOf(socket.remoteAddress ?? '')
    const full =
      (this.#countByAddress.get(address) ?? 0) >= CONNECTIONS_OF_ADDRESS_MAX
        ? address
        : this.#addressBySocket.size >= CONNECTIONS_MAX
          ? this.#largest()
          : null
    if (full !== null && !this.#evictFrom(full)) {
      socket.destroy()
      return
    }
    this.#addressBySocket.set(socket, address)
    this.#countByAddress.set(address, (this.#countByAddress.get(address) ?? 0) + 1)
    this.#wait(socket, address)
    socket.once('close', () => {
      this.#forget(socket)
    })
  }

  /** A request has been read and is being answered. */
  busy(socket: Socket): void {
    const address = this.#addressBySocket.get(socket)
    if (address !== undefined) this.#waitingByAddress.get(address)?.delete(socket)
  }

  /** The answer has ended. */
  idle(socket: Socket): void {
    const address = this.#addressBySocket.get(socket)
    if (address !== undefined) this.#wait(socket, address)
  }

  #wait(socket: Socket, address: string): void {
    const waiting = this.#waitingByAddress.get(address) ?? new Set()
    this.#waitingByAddress.set(address, waiting.add(socket))
  }

  #evictFrom(address: string): boolean {
    const [longest] = this.#waitingByAddress.get(address) ?? []
    if (longest === undefined) return false
    this.#forget(longest)
    longest.destroy()
    return true
  }

  #largest(): string {
    let [largest, most] = ['', 0]
    for (const [address, count] of this.#countByAddress) {
      if (count > most) [largest, most] = [address, count]
    }
    return largest
  }

  #forget(socket: Socket): void {
    const address = this.#addressBySocket.get(socket)
    if (address === undefined) return
    this.#addressBySocket.delete(socket)
    const waiting = this.#waitingByAddress.get(address)
    waiting?.delete(socket)
    if (waiting?.size === 0) this.#waitingByAddress.delete(address)
    const count = (this.#countByAddress.get(address) ?? 1) - 1
    if (count > 0) this.#countByAddress.set(address, count)
    else this.#countByAddress.delete(address)
  }
}

/** An IPv6 host has a /64 of addresses to itself. */
function groupOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::')) return address
  return address.split(':').slice(0, 4).join(':')
}
