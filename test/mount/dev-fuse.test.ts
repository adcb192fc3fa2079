/** The device's waiting, on a descriptor that never has a request: what wakes it, and that it always ends. */
import { writeSync } from 'node:fs'
import { expect, it } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { FuseDevice } from '../../mount/driver/dev-fuse.ts'
import { Bell, newBellMemory } from '../../mount/messages.ts'
import { eventfd } from '../../volume/libc.ts'

const IDLE_MS = 20

function deviceWith(bell: Bell): FuseDevice {
  return new FuseDevice(eventfd(), realEnvironment, {
    fd: bell.fd,
    isWoken: () => bell.isWoken(),
  })
}

it('is woken by the bell, and idle after it was cleared', () => {
  const bell = new Bell(newBellMemory())
  const device = deviceWith(bell)
  expect(device.next(IDLE_MS)).toEqual({ type: 'idle' })
  bell.ring()
  expect(device.next(IDLE_MS)).toEqual({ type: 'woken' })
  bell.clear()
  expect(device.next(IDLE_MS)).toEqual({ type: 'idle' })
})

it('is woken where the bell was cleared between its flag and its write, and does not spin', () => {
  const bell = new Bell(newBellMemory())
  const device = deviceWith(bell)
  // What is left of ring() when clear() comes after the flag was raised and before the write.
  const one = Buffer.alloc(8)
  one.writeBigUInt64LE(1n)
  writeSync(bell.fd, one)
  expect(device.next(IDLE_MS)).toEqual({ type: 'woken' })
  bell.clear()
  expect(device.next(IDLE_MS)).toEqual({ type: 'idle' })
})
