/**
 * A gallery for each user: upload with progress, thumbnails from a listing, a link to share, delete. The
 * pictures stream between browser and bucket; this process never holds one as a whole.
 */
const path = require('node:path')
const { pipeline } = require('node:stream/promises')
const express = require('express')

/** Only what a browser shows and never runs; SVG can carry scripts. */
const TYPES = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp', 'image/avif'])
const PICTURE_MAX_BYTES = 50 * 1024 * 1024
/** A shared link works for a day. */
const SHARED_SECONDS = 24 * 60 * 60

/** Express 4 does not hear of what an async handler throws. */
const caught = (handler) => async (req, res, next) => {
  try {
    await handler(req, res)
  } catch (error) {
    next(error)
  }
}

const folderOf = (user) => `users/${user.id}/pictures/`

module.exports = function gallery(storage) {
  const router = express.Router()
  router.use(express.static(path.join(__dirname, 'public')))

  router.param('name', (req, res, next, name) => {
    req.key = folderOf(req.user) + name
    if (name.length <= 200) next()
    else res.status(400).send('this name is too long')
  })

  router.get(
    '/pictures',
    caught(async (req, res) => {
      const prefix = folderOf(req.user)
      const pictures = []
      for await (const { key, size, lastModified } of storage.list({ prefix })) {
        pictures.push({ name: key.slice(prefix.length), size, lastModified })
      }
      res.json(pictures)
    }),
  )

  router.put(
    '/pictures/:name',
    caught(async (req, res) => {
      const type = req.get('content-type')
      if (!TYPES.has(type))
        return res.status(415).send('send a JPEG, PNG, GIF, WebP or AVIF picture')
      if (!(req.get('content-length') <= PICTURE_MAX_BYTES)) {
        return res.status(413).send('a picture has at most 50 MB')
      }
      const { size } = await storage.put(req.key, req, { type })
      res.status(201).json({ name: req.params.name, size })
    }),
  )

  router.get(
    '/pictures/:name',
    caught(async (req, res) => {
      const picture = await storage.stream(req.key)
      if (picture === null) return res.status(404).send('no such picture')
      res.set({
        'Content-Type': picture.type,
        'Content-Length': picture.size,
        ETag: `"${picture.etag}"`,
      })
      await pipeline(picture, res)
    }),
  )

  // Whoever has this link sees the picture, on any machine, without asking this app.
  router.get(
    '/pictures/:name/link',
    caught(async (req, res) => {
      if (!(await storage.exists(req.key))) return res.status(404).send('no such picture')
      res.json({ url: storage.url(req.key, { expires: SHARED_SECONDS }) })
    }),
  )

  router.delete(
    '/pictures/:name',
    caught(async (req, res) => {
      await storage.delete(req.key)
      res.sendStatus(204)
    }),
  )

  return router
}
