/** `mount`, `unmount`, `mounts`. */
import type { ControlBackend } from './backend.ts'
import type { AnswererTable } from './table.ts'

export function answerMountRequests({
  buckets,
  mounts,
}: ControlBackend): Pick<AnswererTable, 'mount' | 'unmount' | 'mounts'> {
  return {
    mount: async ({ bucket, ...request }) => {
      const { stream, name: bucketName } = buckets.get(bucket)
      return await mounts.mount({ ...request, stream, bucketName })
    },
    unmount: async ({ directory, force }) => {
      await mounts.unmount(directory, force)
      return { directory }
    },
    mounts: () => ({ mounts: mounts.list() }),
  }
}
