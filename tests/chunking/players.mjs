// Plays FOLDER in dash.js, hls.js and Shaka under headless Chromium, one JSON line a player on stdout.
//   node players.mjs FOLDER CHROMIUM CODEC     NODE_PATH: where the players and playwright-core are
// A line: how it ended, what was buffered, the frames; "unsupported" where the browser lacks CODEC.
import http from 'node:http'
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'

const [folder, executablePath, codec] = process.argv.slice(2)
const modules = process.env.NODE_PATH
const { chromium } = createRequire(path.resolve(modules) + '/')('playwright-core')

const TIMEOUT_MS = 60000
const SPEED = 2
const TYPES = { '.mpd': 'application/dash+xml', '.m3u8': 'application/vnd.apple.mpegurl',
  '.mp4': 'video/mp4', '.m4s': 'video/iso.segment', '.js': 'text/javascript' }
const RUNS = [
  ['dash', 'dashjs/dist/modern/umd/dash.all.min.js', 'manifest.mpd'],
  ['hls', 'hls.js/dist/hls.min.js', 'master.m3u8'],
  ['shaka', 'shaka-player/dist/shaka-player.compiled.js', 'manifest.mpd'],
  ['shaka', 'shaka-player/dist/shaka-player.compiled.js', 'master.m3u8'],
]

function serve(request, response) {
  const url = decodeURIComponent(request.url.split('?')[0])
  if (url === '/page') {
    response.setHeader('content-type', 'text/html')
    return response.end('<video muted></video>')
  }
  const file = url.startsWith('/js/') ? path.join(modules, url.slice(4)) : path.join(folder, url)
  if (!fs.existsSync(file) || fs.statSync(file).isDirectory()) {
    response.statusCode = 404
    return response.end()
  }
  response.setHeader('content-type', TYPES[path.extname(file)] ?? 'application/octet-stream')
  response.end(fs.readFileSync(file))
}

// Runs in the page.
async function play([player, url, speed, timeoutMs]) {
  const video = document.querySelector('video')
  const errors = []
  const ended = new Promise((done) => {
    video.onended = () => done('ended')
    // On a busy machine dash.js takes the last frame by a seek, and then no event tells of the end.
    video.onseeked = () => video.ended && done('ended')
    video.onerror = () => done(`media error: ${video.error?.message}`)
    setTimeout(() => done('timeout'), timeoutMs)
  })
  const start = {
    async dash() {
      const dash = dashjs.MediaPlayer().create()
      dash.on('error', (e) => errors.push(JSON.stringify(e.error ?? e).slice(0, 200)))
      dash.initialize(video, url, true)
    },
    async hls() {
      const hls = new Hls()
      hls.on(Hls.Events.ERROR, (_, e) => e.fatal && errors.push(e.details))
      hls.loadSource(url)
      hls.attachMedia(video)
    },
    async shaka() {
      shaka.polyfill.installAll()
      const shakaPlayer = new shaka.Player()
      await shakaPlayer.attach(video)
      shakaPlayer.addEventListener('error', (e) => errors.push(`code ${e.detail.code}`))
      await shakaPlayer.load(url)
    },
  }
  try {
    await start[player]()
    await video.play()
    video.playbackRate = speed
  } catch (error) {
    errors.push(String(error.code ?? error).slice(0, 200))
  }
  const how = await ended
  const buffered = Array.from({ length: video.buffered.length }, (_, i) =>
    [video.buffered.start(i), video.buffered.end(i)])
  return { how, errors, buffered, time: video.currentTime, width: video.videoWidth,
    frames: video.getVideoPlaybackQuality().totalVideoFrames }
}

const server = http.createServer(serve)
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
const base = `http://127.0.0.1:${server.address().port}`
const args = ['--no-sandbox', '--autoplay-policy=no-user-gesture-required']
const browser = await chromium.launch({ executablePath, args })
for (const [player, script, manifest] of RUNS) {
  const page = await browser.newPage()
  await page.goto(`${base}/page`)
  const type = `video/mp4; codecs="${codec}"`
  let result = { how: 'unsupported' }
  if (await page.evaluate((asked) => MediaSource.isTypeSupported(asked), type)) {
    await page.addScriptTag({ url: `/js/${script}` })
    result = await page.evaluate(play, [player, `/${manifest}`, SPEED, TIMEOUT_MS])
  }
  console.log(JSON.stringify({ player, manifest, ...result }))
  await page.close()
}
await browser.close()
server.close()
