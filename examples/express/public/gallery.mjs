/** The page: shows the pictures, uploads chosen ones with their progress, shares and deletes. */
const find = (id) => document.getElementById(id)
const make = (template) => find(template).content.firstElementChild.cloneNode(true)
const addressOf = (name) => `pictures/${encodeURIComponent(name)}`

const say = (text) => {
  find('message').textContent = text
}

const formatSize = (bytes) =>
  bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`

/** Asks the app; what it refuses is said to the user. */
async function ask(address, options) {
  const answer = await fetch(address, options)
  if (!answer.ok) throw new Error(await answer.text())
  return answer
}

async function show() {
  const pictures = await (await ask('pictures')).json()
  pictures.sort((a, b) => b.lastModified.localeCompare(a.lastModified))
  find('pictures').replaceChildren(...pictures.map(figureOf))
  say(pictures.length === 0 ? 'No pictures yet.' : '')
}

function figureOf({ name, size, lastModified }) {
  const figure = make('picture')
  const part = (selector) => figure.querySelector(selector)
  part('img').src = `${addressOf(name)}?${encodeURIComponent(lastModified)}`
  part('img').alt = name
  part('.name').textContent = name
  part('.size').textContent = formatSize(size)
  part('.share').addEventListener('click', () => {
    share(name, part('.link')).catch((error) => say(error.message))
  })
  part('.delete').addEventListener('click', () => {
    remove(name).catch((error) => say(error.message))
  })
  return figure
}

async function share(name, field) {
  const { url } = await (await ask(`${addressOf(name)}/link`)).json()
  field.value = url
  field.hidden = false
  field.select()
}

async function remove(name) {
  await ask(addressOf(name), { method: 'DELETE' })
  await show()
}

/** fetch tells nothing about how far an upload is; XMLHttpRequest does. */
function upload(file) {
  const line = make('upload')
  line.querySelector('.name').textContent = file.name
  find('uploads').append(line)
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('PUT', addressOf(file.name))
    request.setRequestHeader('Content-Type', file.type)
    request.upload.addEventListener('progress', ({ loaded, total }) => {
      line.querySelector('progress').value = loaded / total
    })
    request.addEventListener('load', () => {
      if (request.status === 201) resolve()
      else reject(new Error(`${file.name}: ${request.responseText}`))
    })
    request.addEventListener('error', () => reject(new Error(`${file.name}: no connection`)))
    request.send(file)
  }).finally(() => line.remove())
}

async function uploadAll(files) {
  const results = await Promise.allSettled(files.map(upload))
  await show()
  const failed = results.find(({ status }) => status === 'rejected')
  if (failed !== undefined) say(failed.reason.message)
}

find('files').addEventListener('change', ({ target }) => {
  uploadAll([...target.files]).catch((error) => say(error.message))
  target.value = ''
})

show().catch((error) => say(error.message))
