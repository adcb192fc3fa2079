/**
 * Where the objects are and who asks: endpoint, keys and region, found in the options, else in the
 * environment that `shoal create --app` prints, else in the machine's daemon. Everything is read
 * synchronously, so that `url()` needs no request; nothing here talks to the network.
 *
 * Endpoint and keys are looked for apart from each other, but the daemon's local key is only ever used
 * towards that daemon.
 */
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { StorageError } from './errors.ts'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface Connection extends Credentials {
  /** Where requests go: scheme, host and port, without a trailing slash. */
  readonly endpoint: URL
  /** What URLs given to others begin with. */
  readonly publicUrl: URL
  readonly region: string
  /** A daemon of ours, by where the address came from; false where nobody knows. */
  readonly isShoal: boolean
}

export interface ConnectionOptions {
  readonly endpoint?: string
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly region?: string
  /** What presigned and public URLs begin with, when that is not the endpoint. */
  readonly publicUrl?: string
  /** The home of the daemon to use: with this the environment does not count. */
  readonly home?: string
}

type Variables = Readonly<Record<string, string | undefined>>

/**
 * Finds the connection. Called again after a refused connection, since a daemon on port 0 that was
 * restarted has another address.
 * @throws StorageError `NotConfigured`, saying what is missing and how to get it
 */
export function discoverConnection(
  options: ConnectionOptions,
  environment: Variables = process.env,
): Connection {
  const daemon = readDaemon(options.home ?? homeFolder(environment))
  // Whoever names a daemon wants that one, in the shell of an app as well.
  const variables = options.home === undefined ? environment : {}
  const endpoint = options.endpoint ?? endpointFrom(variables) ?? daemon.address
  if (endpoint === null) {
    throw new StorageError('NotConfigured', `find the storage: ${daemon.why ?? 'no endpoint'}`, {
      hint: 'start a daemon with: shoal up, or set what prints: shoal env --app APP',
    })
  }
  const credentials =
    credentialsFrom(options.accessKeyId, options.secretAccessKey) ??
    credentialsFrom(variables['AWS_ACCESS_KEY_ID'], variables['AWS_SECRET_ACCESS_KEY']) ??
    (sameOrigin(endpoint, daemon.address) ? daemon.key : null)
  if (credentials === null) {
    throw new StorageError('NotConfigured', `find an access key for ${endpoint}: there is none`, {
      hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to what prints: shoal env --app APP',
    })
  }
  // Endpoint and public address belong together: an explicit endpoint is not advertised as another's.
  const advertised =
    options.endpoint === undefined ? (variables['SHOAL_URL'] ?? daemon.publicUrl) : null
  return {
    ...credentials,
    endpoint: parseBase(endpoint),
    publicUrl: parseBase(options.publicUrl ?? advertised ?? endpoint),
    region: options.region ?? variables['AWS_REGION'] ?? 'auto',
    isShoal: sameOrigin(endpoint, daemon.address) || isEndpointOfShoal(endpoint, variables),
  }
}

/** `shoal env` prints the endpoint together with SHOAL_URL, and nobody else does. */
const isEndpointOfShoal = (endpoint: string, variables: Variables): boolean =>
  Boolean(variables['SHOAL_URL']) && sameOrigin(endpoint, endpointFrom(variables))

/** The daemon's home, by the same rule as `shoal up`. */
function homeFolder(variables: Variables): string {
  const chosen = variables['SHOAL_HOME']
  if (chosen) return chosen
  const user = userInfo()
  if (user.uid === 0) return '/var/lib/shoal'
  const data = variables['XDG_DATA_HOME']
  // The XDG base directory specification: paths that are not absolute are ignored.
  return data?.startsWith('/')
    ? join(data, 'shoal')
    : join(user.homedir, '.local', 'share', 'shoal')
}

const endpointFrom = (variables: Variables): string | null =>
  variables['AWS_ENDPOINT_URL_S3'] || variables['SHOAL_URL'] || null

const credentialsFrom = (id: string | undefined, secret: string | undefined): Credentials | null =>
  id && secret ? { accessKeyId: id, secretAccessKey: secret } : null

interface LocalDaemon {
  readonly address: string | null
  /** What it was told to put into URLs (`--public-url`), if that is not its address. */
  readonly publicUrl: string | null
  readonly key: Credentials | null
  readonly why: string | null
}

/** What the machine's daemon wrote down for us; nothing, when it does not run. */
function readDaemon(home: string): LocalDaemon {
  const addresses = readJson(join(home, 'run', 'addresses.json'))
  const key = readJson(join(home, 'run', 'local-key.json'))
  return {
    address: addresses['http'] ?? null,
    publicUrl: addresses['publicUrl'] ?? null,
    key: credentialsFrom(key['accessKeyId'], key['secretAccessKey']),
    why: addresses['http'] === undefined ? `no daemon runs with the home ${home}` : null,
  }
}

/** The string fields of a small JSON file; none where it is missing, unreadable or something else. */
function readJson(path: string): Readonly<Record<string, string>> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value !== 'object' || value === null) return {}
    return Object.fromEntries(
      Object.entries(value).filter(
        (field): field is [string, string] => typeof field[1] === 'string',
      ),
    )
  } catch {
    return {}
  }
}

function sameOrigin(first: string, second: string | null): boolean {
  if (second === null) return false
  return (
    URL.canParse(first) && URL.canParse(second) && new URL(first).origin === new URL(second).origin
  )
}

function parseBase(text: string): URL {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new StorageError('NotConfigured', `use "${text}" as the storage's address`, {
      hint: 'it looks like http://127.0.0.1:7070',
    })
  }
  const base = new URL(text)
  // Signed is what the server sees; a proxy that cuts a path off would break every signature.
  if (base.pathname !== '/') {
    throw new StorageError(
      'NotConfigured',
      `use "${text}" as the storage's address: it has a path`,
      {
        hint: 'give the storage a host name or a port of its own',
      },
    )
  }
  return base
}
