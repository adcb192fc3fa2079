/** Buckets and keys as rows of the cluster's stream: rules 4 and 33, over real volumes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { appEnvironment, appsOfBucket } from '../../daemon/cluster/access-keys.ts'
import { Buckets, isBucketPublic } from '../../daemon/cluster/buckets.ts'
import type { BucketsOptions } from '../../daemon/cluster/buckets.ts'
import { AccessKeys } from '../../daemon/cluster/keys.ts'
import { ClusterState } from '../../daemon/cluster/state.ts'
import {
  CLUSTER_STREAM,
  newSourceId,
  parseBucketName,
  parseClusterId,
  parseNodeId,
} from '../../protocol/ids.ts'
import type { BucketChange } from '../../protocol/messages/control.ts'
import { bucketKey } from '../../protocol/record-codec.ts'
import { openVolume } from '../../volume/open.ts'
import type { Volume } from '../../volume/volume.ts'

const CLUSTER = parseClusterId('11'.repeat(16))
const NAME = parseBucketName('photos')
const UNSET: BucketChange = {
  public: null,
  replicas: null,
  regions: null,
  acknowledge: null,
  quotaBytes: null,
}

let folder = ''
let machines: Machine[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-cluster-'))
})
afterEach(() => {
  for (const { volume } of machines) volume.close()
  machines = []
  rmSync(folder, { recursive: true, force: true })
})

interface Machine {
  readonly volume: Volume
  readonly state: ClusterState
  readonly buckets: Buckets
  readonly keys: AccessKeys
  readonly warnings: string[]
}

function newMachine(
  digit: string,
  refresh: () => Promise<void> = () => Promise.resolve(),
): Machine {
  const volume = openVolume({
    folder: join(folder, digit),
    contents: null,
    environment: realEnvironment,
    stream: CLUSTER_STREAM,
    node: parseNodeId(digit.repeat(32)),
  })
  const warnings: string[] = []
  const state = new ClusterState(() => ({ id: CLUSTER, volume }), {
    warning: (message) => {
      warnings.push(message)
    },
  })
  const writing: BucketsOptions = {
    environment: realEnvironment,
    caller: { source: newSourceId(realEnvironment.randomBytes(8)) },
    state,
    cluster: () => volume,
    bucket: () => null,
    refresh,
    committed: () => Promise.resolve(),
  }
  const buckets = new Buckets(writing)
  const keys = new AccessKeys(writing)
  const machine = { volume, state, buckets, keys, warnings }
  machines.push(machine)
  return machine
}

/** What an exchange does: everything that one has comes to the other. */
function bring(from: Machine, to: Machine): void {
  const by = { source: newSourceId(realEnvironment.randomBytes(8)) }
  const reader = from.volume.exchange(to.volume.vector())
  for (let step = reader.next(); step !== null; step = reader.next()) {
    if (step.type === 'page') to.volume.applyPage(step.operations, by)
    else to.volume.finish(step.operations, step.vector, by)
  }
  reader.close()
}

describe('buckets', () => {
  it('are known by name and by stream, once they are made', async () => {
    const { buckets, state } = newMachine('a')
    expect(() => buckets.get(NAME)).toThrow(/none of that name/)
    const made = await buckets.create(NAME, null, { ...UNSET, replicas: 2 })
    expect(state.bucket(NAME)).toEqual(made)
    expect(state.bucketOfStream(made.stream)?.settings.replicas).toBe(2)
    await expect(buckets.create(NAME, null, UNSET)).rejects.toMatchObject({ code: 'bucket-exists' })
  })

  it('that a live peer knows are refused, after asking it', async () => {
    const first = newMachine('a')
    await first.buckets.create(NAME, null, UNSET)
    const second = newMachine('b', () => {
      bring(first, second)
      return Promise.resolve()
    })
    await expect(second.buckets.create(NAME, null, UNSET)).rejects.toMatchObject({
      code: 'bucket-exists',
    })
  })

  it('keep what others have just set, and may be destroyed where nobody heard of them yet', async () => {
    const first = newMachine('a')
    const ask = (): Promise<void> => {
      bring(first, second)
      return Promise.resolve()
    }
    const second: Machine = newMachine('b', ask)
    await first.buckets.create(NAME, null, { ...UNSET, replicas: 2 })
    const { settings } = await second.buckets.set(NAME, { ...UNSET, quotaBytes: 1000 })
    expect(settings).toMatchObject({ replicas: 2, quotaBytes: 1000 })
    const other = parseBucketName('others')
    await first.buckets.create(other, null, UNSET)
    await second.buckets.destroy(other, false)
    expect(second.state.bucket(other)).toBeNull()
  })

  it('made on two machines at once are one, public only if both said so', async () => {
    const first = newMachine('a')
    const second = newMachine('b')
    const here = await first.buckets.create(NAME, null, { ...UNSET, public: true })
    const there = await second.buckets.create(NAME, null, UNSET)
    expect(there.stream).toBe(here.stream)
    expect(isBucketPublic(here)).toBe(true)
    bring(second, first)
    bring(first, second)
    for (const { state } of [first, second]) {
      expect(state.buckets()).toHaveLength(1)
      expect(isBucketPublic(state.buckets()[0] ?? there)).toBe(false)
    }
    await first.buckets.set(NAME, { ...UNSET, public: true })
    expect(isBucketPublic(first.buckets.get(NAME))).toBe(true)
  })

  it('made again after a destroy are others, everywhere', async () => {
    const first = newMachine('a')
    const second = newMachine('b')
    const before = await first.buckets.create(NAME, null, UNSET)
    bring(first, second)
    await second.buckets.destroy(NAME, false)
    expect(second.state.isDestroyed(before.stream)).toBe(true)
    const after = await second.buckets.create(NAME, null, UNSET)
    expect(after.stream).not.toBe(before.stream)
    expect(after.generation).toBe(1)
    bring(second, first)
    expect(first.state.bucket(NAME)?.stream).toBe(after.stream)
    expect(first.state.bucketOfStream(before.stream)).toBeNull()
  })

  it('whose row does not parse are left out, with a warning', async () => {
    const { buckets, volume, state, warnings } = newMachine('a')
    const made = await buckets.create(NAME, null, UNSET)
    const row = bucketKey(made.stream, volume.identity().origin)
    volume.setConfig(new Map([[row, Buffer.from('garbage')]]), {
      source: newSourceId(Buffer.alloc(8)),
    })
    expect(state.bucket(NAME)).toBeNull()
    expect(warnings).toHaveLength(1)
  })
})

describe('keys', () => {
  const endpoint = { http: 'http://127.0.0.1:1', publicUrl: 'https://files.example' }

  it('of an app are one, and reach all of its buckets', async () => {
    const { buckets, state } = newMachine('a')
    await buckets.create(NAME, 'app', UNSET)
    const second = parseBucketName('videos')
    await buckets.create(second, 'app', UNSET)
    const keys = [...state.accessKeys()].filter(({ app }) => app === 'app')
    expect(keys).toHaveLength(1)
    expect(keys[0]?.grants.map(({ bucket }) => bucket)).toEqual(['photos', 'videos'])
    expect(appsOfBucket(state, second)).toEqual(['app'])
    const { variables } = appEnvironment(state, 'app', endpoint)
    expect(Object.fromEntries(variables.map(({ name, value }) => [name, value]))).toMatchObject({
      BUCKET_NAME: 'photos',
      AWS_ENDPOINT_URL_S3: endpoint.http,
      SHOAL_URL: endpoint.publicUrl,
    })
    expect(() => appEnvironment(state, 'other', endpoint)).toThrow(/no app/)
  })

  it('that sign URLs belong to the bucket and not to an app, and come with it', async () => {
    const first = newMachine('a')
    await first.buckets.create(NAME, 'app', UNSET)
    const key = await first.buckets.urlKey(NAME)
    expect(key).toMatchObject({ app: null, bucket: 'photos' })
    expect(key.grants[0]?.verbs).not.toContain('admin')
    const second = newMachine('b')
    bring(first, second)
    expect(await second.buckets.urlKey(NAME)).toEqual(key)
  })
})

describe('keys that are removed', () => {
  it('stay so, whatever another machine writes about them meanwhile', async () => {
    const first = newMachine('a')
    const second = newMachine('b')
    await first.buckets.create(NAME, 'my-app', UNSET)
    bring(first, second)
    const [key] = first.keys.list('my-app', null)
    await first.keys.remove(key?.id ?? '')
    // Has not heard of it, and gives the app another bucket: the key's row is written anew, later.
    await second.buckets.create(parseBucketName('others'), 'my-app', UNSET)
    expect(second.state.accessKey(key?.id ?? '')?.grants).toHaveLength(2)
    bring(second, first)
    bring(first, second)
    for (const { state } of [first, second]) {
      expect(state.accessKey(key?.id ?? '')).toBeNull()
      expect([...state.accessKeys()].filter(({ app }) => app === 'my-app')).toEqual([])
    }
  })
})
