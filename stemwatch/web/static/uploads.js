// Songs from this browser into an inbox: dropped or chosen, three at a time, tried again.

import {$, el, say, setText, show} from './dom.js';
import {Refused} from './words.js';

const AT_ONCE = 3;
const WAITS = [1000, 2000, 4000, 8000]; // ms before another try
let service = null;
const waiting = [];
const failed = [];
const under = new Map(); // song -> request
let done = 0, all = 0, bytes = 0, sent = 0;
let loggedIn = null; // a promise while somebody has to log in

export function know(now) {
  service = now;
  const names = now.inboxes.map((one) => one.name || 'default');
  $('inbox-label').hidden = names.length < 2;
  options($('inbox'), names, names);
  presets();
}

function presets() {
  const inbox = service.inboxes.find((one) => (one.name || 'default') === $('inbox').value) || service.inboxes[0];
  $('preset-label').hidden = !inbox.presets.length;
  options($('preset'), ['', ...inbox.presets], [`${inbox.stems} stems, ${inbox.format}`, ...inbox.presets]);
  $('targets').hidden = $('inbox-label').hidden && $('preset-label').hidden;
}

function options(select, values, words) {
  const now = values.join('/');
  if (select.dataset.values === now) return;
  select.dataset.values = now;
  select.replaceChildren(...values.map((value, n) => el('option', {value, textContent: words[n]})));
}

/** Called when a call was refused for want of a login, with what ends the waiting. */
export function hold(until) {
  loggedIn = until.then(() => { loggedIn = null; });
}

function isSong(name) {
  const ending = name.split('.').pop().toLowerCase();
  return !name.startsWith('.') && (service?.extensions || []).includes(ending);
}

/** All files below a dropped entry, and words on each that can't be read: the others are sent. */
async function walk(entry, found, missed, path = '') {
  try {
    if (entry.isFile) {
      const file = await new Promise((ok, no) => entry.file(ok, no));
      found.push([path + file.name, file]);
      return;
    }
    const reader = entry.createReader();
    for (;;) { // it hands out a hundred names at a call
      const part = await new Promise((ok, no) => reader.readEntries(ok, no));
      if (!part.length) return;
      for (const one of part) await walk(one, found, missed, `${path}${entry.name}/`);
    }
  } catch (fault) {
    if (entry.isDirectory || isSong(entry.name)) missed.push(`${path}${entry.name} can't be read: ${fault.message}`);
  }
}

function add(found, missed = []) {
  const songs = found.filter(([path]) => isSong(path.split('/').pop()));
  if (!songs.length && !missed.length) {
    const known = (service?.extensions || []).join(', ');
    say(`No songs among these. Songs are ${known}.`);
    notes([`No songs among these. Songs are ${known}.`]);
    return;
  }
  if (!waiting.length && !under.size) { done = all = bytes = sent = 0; failed.length = 0; }
  failed.push(...missed.map((words) => ({words})));
  const preset = $('preset').value, inbox = $('inbox').value || 'default';
  for (const [path, file] of songs) {
    waiting.push({path: preset ? `${preset}/${path}` : path, inbox, file, tries: 0, sent: 0});
    all += 1;
    bytes += file.size;
  }
  const sending = `${songs.length === 1 ? 'One song is' : `${songs.length} songs are`} being sent.`;
  say([...(songs.length ? [sending] : []), ...missed].join(' '));
  pump();
}

function pump() {
  while (waiting.length && under.size < AT_ONCE) start(waiting.shift());
  draw();
}

async function start(song) {
  under.set(song, null);
  let again = false;
  try {
    if (song.file.size > service.largest) throw new Refused(413, {error: `It is larger than ${Math.floor(service.largest / 1048576)} MB.`, hint: 'Convert it to MP3 or M4A (a WAV: FLAC).'});
    const told = await send(song);
    done += 1;
    if (told.renamed) failed.push({song, words: `${song.path} was there already: it is called ${told.name} now.`, fine: true});
  } catch (fault) {
    again = await refused(song, fault);
  }
  count(song, again ? 0 : song.file.size);
  under.delete(song);
  if (again) waiting.unshift(song);
  pump();
  if (!under.size && !waiting.length) {
    const bad = failed.filter((one) => !one.fine).length;
    say(`${done} sent${bad ? `, ${bad} were not taken` : ''}.`);
  }
}

/** Returns whether it is to be sent once more; waits until then. */
async function refused(song, fault) {
  if (fault.name === 'AbortError') return false;
  if (fault.status === 401 && loggedIn) {
    count(song, 0);
    return standBy(song, loggedIn);
  }
  const passing = !fault.status || fault.status === 408 || (fault.status >= 500 && fault.status !== 507);
  if (passing && song.tries < WAITS.length) {
    count(song, 0);
    return standBy(song, new Promise((ok) => setTimeout(ok, WAITS[song.tries++])));
  }
  failed.push({song, words: `${song.path}: ${fault.message} ${fault.hint || ''}`});
  return false;
}

/** Waits for `due`, or until somebody stops it: there is no request that `stop` could end. */
async function standBy(song, due) {
  await Promise.race([due, new Promise((ok) => { song.wake = ok; })]);
  return !song.stopped;
}

function count(song, now) {
  sent += now - song.sent;
  song.sent = now;
}

/** XMLHttpRequest: fetch can't tell how much of a body has been sent. */
function send(song) {
  return new Promise((ok, no) => {
    const call = new XMLHttpRequest();
    under.set(song, call);
    call.open('PUT', `api/inbox/${encodeURIComponent(song.inbox)}?path=${encodeURIComponent(song.path)}`);
    call.upload.onprogress = (event) => { count(song, event.loaded); draw(); };
    call.onload = () => {
      let body = {};
      try { body = JSON.parse(call.response); } catch { /* a proxy's own page */ }
      if (call.status === 201) ok(body);
      else {
        if (call.status === 401) dispatchEvent(new Event('login-needed'));
        no(new Refused(call.status, body));
      }
    };
    call.onerror = () => no(new TypeError('The service was not reached.'));
    call.onabort = () => no(new DOMException('', 'AbortError'));
    call.send(song.file);
  });
}

function stop() {
  all -= waiting.length + under.size;
  waiting.length = 0;
  for (const [song, call] of under) {
    song.stopped = true;
    song.wake?.();
    call?.abort();
  }
}

const bar = el('progress', {max: 1, value: 0});
const text = el('span', {className: 'name'});
const cancel = el('button', {type: 'button', className: 'quiet', textContent: 'Stop sending', onclick: stop});
const line = el('div', {className: 'job'}, text, cancel, el('span', {className: 'bar'}, bar));
const list = el('ul', {className: 'list'});
bar.setAttribute('aria-label', 'Songs sent');

function draw() {
  const busy = under.size + waiting.length > 0;
  if (busy) {
    const over = done + failed.filter((one) => one.song && !one.fine).length;
    setText(text, `Sending ${Math.min(over + 1, all)} of ${all}`);
    bar.value = bytes ? Math.min(1, sent / bytes) : 0;
  }
  notes([]);
  show($('sending'), [...(busy ? [line] : []), ...(list.childElementCount ? [list] : [])]);
}

function notes(more) {
  const rows = failed.map((one) => {
    one.li ||= el('li', {className: 'job'}, el('span', {className: one.fine ? 'dim' : '', textContent: one.words}),
      ...(one.fine || !one.song ? [] : [el('button', {type: 'button', className: 'quiet', textContent: 'Try again', onclick: () => retry(one)})]));
    return one.li;
  });
  show(list, [...rows, ...more.map((words) => el('li', {textContent: words}))]);
  if (more.length) show($('sending'), [list]);
}

function retry(one) {
  failed.splice(failed.indexOf(one), 1);
  one.song.tries = 0;
  one.song.stopped = false;
  bytes += one.song.file.size;
  one.song.sent = 0;
  waiting.push(one.song);
  pump();
}

$('inbox').onchange = presets;
$('pick').onclick = () => $('files').click();
$('pick-folder').onclick = () => $('folder').click();
for (const id of ['files', 'folder']) {
  $(id).onchange = (event) => {
    add([...event.target.files].map((file) => [file.webkitRelativePath || file.name, file]));
    event.target.value = '';
  };
}
addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('over');
});
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('over');
});
addEventListener('drop', async (event) => {
  event.preventDefault();
  document.body.classList.remove('over');
  // The list is emptied when this event is over: first all entries, then what is in them.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [], missed = [];
  for (const entry of entries) await walk(entry, found, missed);
  add(found, missed);
});
addEventListener('beforeunload', (event) => {
  if (under.size + waiting.length) event.preventDefault();
});
