// What was delivered, the newest first, and the song that is open.

import {$, clock, el, say, setText, show} from './dom.js';
import {open as openPlayer} from './player.js';
import {ask, bpmOf, keyOf, titleOf, when} from './words.js';

let songs = [], more = false, turn = 0, opened = null, close = () => {};
const rows = new Map();

export async function load({further = false} = {}) {
  const mine = ++turn;
  const words = $('find').value.trim();
  const asked = new URLSearchParams({limit: further ? 50 : Math.max(20, Math.min(songs.length, 200))});
  if (words) asked.set('q', words);
  if (further && songs.length) asked.set('before', songs.at(-1).id);
  try {
    const found = await ask(`api/songs?${asked}`);
    if (mine !== turn) return; // somebody typed on meanwhile
    songs = further ? [...songs, ...found.songs] : found.songs;
    more = found.more;
  } catch (fault) {
    if (fault.status !== 401) say(fault.message);
    return;
  }
  draw(words);
}

function draw(words) {
  show($('songs'), songs.map(row));
  $('more').hidden = !more;
  $('songs-empty').hidden = songs.length > 0;
  setText($('songs-empty'), words
    ? `No song has “${words}” in its name or folder.`
    : 'Nothing here yet. A song appears as soon as its stems are delivered.');
}

function row(song) {
  if (!rows.has(song.id)) {
    const facts = [bpmOf(song), keyOf(song), song.seconds ? clock(song.seconds) : '', when(song.at)];
    const button = el('button', {type: 'button', className: 'song', onclick: () => toggle(song, button)},
      el('span', {}, el('span', {className: 'name', textContent: titleOf(song)}),
        el('span', {className: 'where', textContent: [song.inbox, song.folder].filter(Boolean).map((one) => ` ${one}`).join(' ·')})),
      el('span', {className: 'tags'}, ...facts.filter(Boolean).map((fact) => el('span', {textContent: fact}))));
    button.setAttribute('aria-expanded', 'false');
    rows.set(song.id, el('li', {}, button));
  }
  return rows.get(song.id);
}

function mark(id, on) {
  rows.get(id)?.firstChild.setAttribute('aria-expanded', String(on));
}

async function toggle(song) {
  const again = opened === song.id;
  close();
  if (opened !== null) mark(opened, false);
  opened = null;
  $('player').replaceChildren();
  if (again) {
    history.replaceState(null, '', location.pathname + location.search); // or news would open it again
    return;
  }
  opened = song.id;
  mark(song.id, true);
  history.replaceState(null, '', `#${song.id}`);
  close = await openPlayer($('player'), song.id, () => toggle(song));
}

let typing = 0;
$('find').oninput = () => {
  clearTimeout(typing);
  typing = setTimeout(() => load(), 200);
};
$('more').onclick = () => load({further: true});

/** A link to a song opens it. */
export function openLinked() {
  const id = Number(location.hash.slice(1));
  if (id && opened === null) toggle({id});
}
