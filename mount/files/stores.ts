/** The stores of one thread: each opens the node's contents and the bucket's names for itself. */
import { join } from 'node:path'
import type { Environment } from '../../protocol/environment.ts'
import type { ContentStore } from '../../volume/contents/content.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import { openVolume } from '../../volume/open.ts'
import type { Volume } from '../../volume/volume.ts'
import type { MountOptions } from '../settings.ts'

export interface OpenedStores {
  readonly contents: ContentStore
  readonly volume: Volume
  /** Idempotent. */
  close(): void
}

/** @throws ShoalError `incompatible`, `corrupt`, `io`, `no-space` */
export function openStores(
  { home, stream, node }: MountOptions,
  environment: Environment,
): OpenedStores {
  const contents = openContentStore({ home, environment })
  try {
    const folder = join(home, 'buckets', stream)
    const volume = openVolume({ folder, contents, environment, stream, node })
    return {
      contents,
      volume,
      close() {
        volume.close()
        contents.close()
      },
    }
  } catch (cause) {
    contents.close()
    throw cause
  }
}
