/** S3's bounds on the size of parts. */
import { MIB } from '../../../../protocol/limits.ts'

export const PART_MAX_BYTES: number = 5 * 1024 * MIB
/** Of every part but the last. */
export const PART_MIN_BYTES: number = 5 * MIB
