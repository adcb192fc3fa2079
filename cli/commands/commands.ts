/** All commands, in the order in which the help lists them. */
import type { CommandDefinition } from '../command.ts'
import { access } from './access/access.ts'
import { keys } from './access/keys.ts'
import { webhooks } from './access/webhooks.ts'
import { website } from './access/website.ts'
import { buckets } from './buckets/buckets.ts'
import { create } from './buckets/create.ts'
import { destroy } from './buckets/destroy.ts'
import { env } from './buckets/env.ts'
import { info } from './buckets/info.ts'
import { set } from './buckets/set.ts'
import { invite } from './cluster/invite.ts'
import { join } from './cluster/join.ts'
import { peers } from './cluster/peers.ts'
import { config } from './daemon/config.ts'
import { down } from './daemon/down.ts'
import { status } from './daemon/status.ts'
import { up } from './daemon/up.ts'
import { version } from './daemon/version.ts'
import { mount } from './mounts/mount.ts'
import { mounts } from './mounts/mounts.ts'
import { unmount } from './mounts/unmount.ts'
import { cat } from './objects/cat.ts'
import { cp } from './objects/cp.ts'
import { ls } from './objects/ls.ts'
import { mv } from './objects/mv.ts'
import { rm } from './objects/rm.ts'
import { stat } from './objects/stat.ts'
import { url } from './objects/url.ts'

export const COMMANDS: readonly CommandDefinition[] = [
  up,
  down,
  status,
  create,
  buckets,
  info,
  set,
  destroy,
  env,
  keys,
  access,
  webhooks,
  website,
  mount,
  unmount,
  mounts,
  ls,
  cp,
  mv,
  rm,
  cat,
  stat,
  url,
  invite,
  join,
  peers,
  config,
  version,
]
