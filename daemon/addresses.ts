/**
 * The two files under `HOME/run` by which programs of this machine find the daemon and may use it:
 * `addresses.json` (where it answers, written once it answers everywhere) and `local-key.json` (0600: an
 * admin key that lives as long as this daemon; SDK and CLI sign with it, rule 33).
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../protocol/environment.ts'

export interface Addresses {
  /** `http://HOST:PORT` */
  readonly http: string
  /** `wss://HOST:PORT` */
  readonly peer: string
  /** `http://HOST:PORT` */
  readonly dashboard: string
  readonly pid: number
  /** What URLs for others begin with, where that is not the http address. */
  readonly publicUrl?: string
}

export interface LocalKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

const addressesPath = (home: string): string => join(home, 'run', 'addresses.json')
const localKeyPath = (home: string): string => join(home, 'run', 'local-key.json')

/** Replaces the file as a whole: a reader sees the old one or the new one. */
export function writeAddresses(home: string, addresses: Addresses): void {
  replaceFile(addressesPath(home), addresses, 0o644)
}

/** A new random admin key, readable by this user alone. */
export function writeLocalKey(home: string, environment: Environment): LocalKey {
  const key = {
    accessKeyId: `LOCAL${environment.randomBytes(8).toString('hex').toUpperCase().slice(0, 15)}`,
    secretAccessKey: environment.randomBytes(30).toString('base64url'),
  }
  replaceFile(localKeyPath(home), key, 0o600)
  return key
}

/** Idempotent; for a clean end, so that nobody tries a daemon that has gone. */
export function removeRunFiles(home: string): void {
  rmSync(addressesPath(home), { force: true })
  rmSync(localKeyPath(home), { force: true })
}

/** What the running (or crashed) daemon wrote; null where there is nothing sensible. */
export function readAddresses(home: string): Addresses | null {
  const value = readJson(addressesPath(home))
  if (value === null) return null
  const { http, peer, dashboard, pid } = value
  if (typeof http !== 'string' || typeof peer !== 'string' || typeof pid !== 'number') return null
  return { http, peer, dashboard: typeof dashboard === 'string' ? dashboard : '', pid }
}

/** @returns null where there is none (or it is not ours to read) */
export function readLocalKey(home: string): LocalKey | null {
  const value = readJson(localKeyPath(home))
  const { accessKeyId, secretAccessKey } = value ?? {}
  if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string') return null
  return { accessKeyId, secretAccessKey }
}

function readJson(path: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}

function replaceFile(path: string, value: object, mode: number): void {
  const temporary = `${path}.${process.pid}.new`
  writeFileSync(temporary, `${JSON.stringify(value)}\n`, { mode })
  renameSync(temporary, path)
}
