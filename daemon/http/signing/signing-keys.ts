/**
 * Signing keys already derived: four HMACs cost 8 us of the 11 us that a verification takes. Bounded;
 * the oldest goes first. Secrets in here come from rows that hold them anyway, and a removed access key is
 * refused before anybody asks for its signing key.
 */
import { deriveSigningKey, type Scope } from './canonical.ts'

/** One for each (access key, day, region) in use; a cluster has tens of keys and clients two or three regions. */
const SIGNING_KEYS_MAX = 256

export class SigningKeys {
  readonly #keyByScope = new Map<string, Buffer>()

  get(secret: string, scope: Scope): Buffer {
    const name = `${scope.date}/${scope.region}/${secret}`
    const known = this.#keyByScope.get(name)
    if (known !== undefined) return known
    const key = deriveSigningKey(secret, scope)
    if (this.#keyByScope.size >= SIGNING_KEYS_MAX) {
      const oldest = this.#keyByScope.keys().next()
      if (oldest.done !== true) this.#keyByScope.delete(oldest.value)
    }
    this.#keyByScope.set(name, key)
    return key
  }
}
