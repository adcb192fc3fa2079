/**
 * Profile pictures and a gallery: an ordinary Express app that keeps its uploads in a bucket. CommonJS, as
 * it always was; the bucket's name is all it says, keys and address come from the environment.
 */
const express = require('express')
const fileUpload = require('express-fileupload')
const { Storage } = require('shoal')
const gallery = require('./gallery.js')

const storage = new Storage('my-app-images')
const app = express()

app.use(fileUpload())

// Stands in for a real login, which would set req.user from a session.
app.use((req, res, next) => {
  const id = req.get('x-user-id') ?? 'guest'
  if (/^[\w-]{1,64}$/.test(id)) {
    req.user = { id }
    next()
  } else {
    res.status(400).send('no such user')
  }
})

app.post('/upload', async (req, res, next) => {
  try {
    const file = req.files?.profilePic
    if (file) {
      const filename = `users/${req.user.id}/profile.jpg`
      // express-fileupload has the bytes in .data, multer in .buffer.
      await storage.put(filename, file.data ?? file.buffer)
      res.json({ url: storage.url(filename) })
    } else {
      res.status(400).send('send a picture in the field profilePic')
    }
  } catch (error) {
    next(error)
  }
})

app.get('/images/:userId/profile.jpg', async (req, res, next) => {
  try {
    const filename = `users/${req.params.userId}/profile.jpg`
    const file = await storage.get(filename)
    if (file === null) {
      res.status(404).send('no picture yet')
    } else {
      res.set('Content-Type', file.type)
      res.send(file.body)
    }
  } catch (error) {
    next(error)
  }
})

app.use(gallery(storage))

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
