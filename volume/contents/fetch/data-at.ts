/** Where a sparse file has bytes: lseek(2) with SEEK_DATA. */
import { SEEK_DATA, SystemError, lseek } from '../../libc.ts'

/** Offset of the next byte with data at or behind `offset`; null when only a hole follows. */
export function dataAt(fd: number, offset: number): number | null {
  try {
    return lseek(fd, offset, SEEK_DATA)
  } catch (cause) {
    if (cause instanceof SystemError && cause.code === 'ENXIO') return null
    throw cause
  }
}
