// One song: all stems at once, each with mute, solo and fader; loops; what the faders make, to save.

import {clock, el, say, setText} from './dom.js';
import {Pieces, previewTrack, wavTrack} from './pieces.js';
import {ask, bpmOf, keyOf, titleOf} from './words.js';
import {colours, drawWave} from './wave.js';

const STEP = 5; // seconds
const SLOW = 15e6; // bit/s: six stems of WAV need nine
const NO_SOUND = 3000; // ms until a sound device has to answer

/** Show the song in `root`; returns what ends it. `leave` is called by its close button. */
export async function open(root, id, leave) {
  const base = `api/songs/${id}`;
  let song;
  try {
    song = await ask(base);
  } catch (fault) {
    root.replaceChildren(el('p', {className: 'pause', role: 'alert', textContent: `${fault.message} ${fault.hint || ''}`}));
    return () => root.replaceChildren();
  }
  const player = new Player(base, song, leave);
  root.replaceChildren(player.box);
  player.begin();
  return () => player.close();
}

class Player {
  constructor(base, song, leave) {
    Object.assign(this, {base, song, leave});
    const stems = song.files.filter((one) => !one.of); // a mix would be heard twice
    this.seconds = song.seconds || Math.max(...stems.map((one) => (one.pcm ? one.pcm.frames / one.pcm.rate : 0)));
    this.at = 0;
    this.full = 127;
    this.loop = null;
    this.marks = {};
    this.tracks = stems.map((stem, n) => this.track(stem, n));
    this.box = this.build();
  }

  // -- what is seen --------------------------------------------------------------------------

  build() {
    const {song} = this;
    const button = (textContent, onclick, more = {}) => el('button', {type: 'button', textContent, onclick, ...more});
    this.playButton = button('Play', () => this.toggle(), {className: 'main play'});
    this.time = el('span', {className: 'time'});
    this.bar = el('input', {type: 'range', min: 0, max: Math.floor(this.seconds), step: 1, value: 0,
      oninput: (event) => this.seek(Number(event.target.value)), 'aria-label': 'Position'});
    this.aButton = button('A', () => this.setMark('a'), {title: 'Loop from here (A)', 'aria-label': 'Loop from here'});
    this.bButton = button('B', () => this.setMark('b'), {title: 'Loop to here (B)', 'aria-label': 'Loop to here'});
    this.loopButton = button('Loop', () => this.toggleLoop(), {'aria-pressed': 'false', title: 'Loop on or off (L)'});
    this.bars = el('select', {'aria-label': 'Loop so many bars', onchange: () => this.loopBars()},
      ...[['', 'bars'], [1, '1 bar'], [2, '2 bars'], [4, '4 bars'], [8, '8 bars']].map(([value, textContent]) => el('option', {value, textContent})));
    this.bars.hidden = !song.bpm;
    this.format = el('select', {'aria-label': 'Format of the mix'}, ...['wav', 'flac', 'mp3'].map((value) => el('option', {value, textContent: value.toUpperCase()})));
    this.mixButton = button('Save this mix', () => this.saveMix());
    this.note = el('p', {className: 'note', role: 'status'});
    const facts = [bpmOf(song), keyOf(song), clock(this.seconds), song.folder].filter(Boolean);
    const mixes = song.files.filter((one) => one.of);
    const box = el('div', {className: 'player', role: 'group', 'aria-label': `Player: ${titleOf(song)}`},
      el('div', {className: 'head'}, el('h3', {textContent: titleOf(song)}),
        button('Close', () => this.leave(), {className: 'quiet', 'aria-label': `Close ${titleOf(song)}`})),
      el('p', {className: 'facts'}, ...facts.map((fact) => el('span', {textContent: fact}))),
      el('div', {className: 'controls'}, this.playButton, this.time,
        el('span', {className: 'loop'}, this.aButton, this.bButton, this.loopButton, this.bars)),
      this.bar, ...this.tracks.map((one) => one.row),
      el('div', {className: 'controls'}, this.mixButton, this.format,
        el('a', {href: `${this.base}/zip`, download: '', textContent: 'All stems (ZIP)'}),
        ...(song.sidecar.stem_file ? [el('a', {href: `${this.base}/stem-file`, download: '', textContent: 'One stem file'})] : []),
        ...mixes.map((one) => el('a', {href: this.url(one), download: one.file, textContent: one.id}))),
      this.note);
    box.onkeydown = (event) => this.key(event);
    return box;
  }

  url(stem) {
    return `${this.base}/stems/${encodeURIComponent(stem.id)}`;
  }

  track(stem, n) {
    const name = stem.id[0].toUpperCase() + stem.id.slice(1);
    const track = {stem, muted: false, solo: false, volume: 1, peaks: new Int8Array(2000)};
    const press = (word, field) => el('button', {type: 'button', textContent: word[0], title: `${word} ${name}`,
      'aria-label': `${word} ${name}`, 'aria-pressed': 'false', onclick: () => { track[field] = !track[field]; this.levels(); }});
    track.muteButton = press('Mute', 'muted');
    track.soloButton = press('Solo', 'solo');
    track.fader = el('input', {type: 'range', className: 'fader', min: 0, max: 1.5, step: 0.01, value: 1,
      'aria-label': `Volume ${name}`, oninput: (event) => { track.volume = Number(event.target.value); this.levels(); }});
    track.canvas = el('canvas', {'aria-hidden': 'true', onclick: (event) => this.seek((event.offsetX / track.canvas.clientWidth) * this.seconds)});
    track.row = el('div', {className: 'track'}, el('span', {className: 'stem', textContent: name}), track.muteButton, track.soloButton,
      track.fader, track.canvas, el('a', {href: this.url(stem), download: stem.file, textContent: 'Save', 'aria-label': `Save ${name}`}));
    track.n = n;
    return track;
  }

  begin() {
    this.paint();
    this.levels();
    this.playButton.focus({preventScroll: true});
    this.box.scrollIntoView({block: 'nearest'});
    this.observer = new ResizeObserver(() => this.paint());
    this.observer.observe(this.box);
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.scheme.onchange = () => this.paint();
    this.timer = setInterval(() => this.tick(), 80);
    this.drawPeaks();
  }

  async drawPeaks() {
    try {
      const raw = new Int8Array(await (await ask(`${this.base}/peaks`, {raw: true})).arrayBuffer());
      const columns = raw.length / this.song.files.length;
      this.full = Math.max(16, raw.reduce((most, one) => Math.max(most, Math.abs(one)), 0)); // the loudest fills it
      this.song.files.forEach((stem, n) => {
        const track = this.tracks.find((one) => one.stem === stem);
        if (track) track.peaks = raw.subarray(n * columns, (n + 1) * columns);
      });
      this.paint();
    } catch { /* it plays without a picture */ }
  }

  paint() {
    const tones = colours();
    const loop = this.loop && this.loop.map((one) => one / this.seconds);
    for (const {canvas, peaks} of this.tracks) drawWave(canvas, peaks, {share: this.at / this.seconds, loop, full: this.full}, tones);
    setText(this.time, `${clock(this.at)} / ${clock(this.seconds)}`);
    this.bar.value = this.at;
    this.bar.setAttribute('aria-valuetext', `${clock(this.at)} of ${clock(this.seconds)}`);
  }

  tick() {
    if (!this.pieces?.playing) return;
    this.at = Math.min(this.pieces.position(), this.seconds);
    this.paint();
  }

  // -- what is heard -------------------------------------------------------------------------

  /** The first press of "play" makes the context: browsers let no page sound before. */
  make(preview) {
    const shapes = this.tracks.map((one) => one.stem.pcm);
    const rate = preview ? 48000 : shapes[0].rate, length = preview ? 4 : 2;
    const context = new AudioContext({sampleRate: rate, latencyHint: 'playback'});
    const tracks = this.tracks.map(({stem}) => (preview
      ? previewTrack(context, this.url(stem))
      : wavTrack(context, this.url(stem), stem.pcm, length, (bytes, ms) => this.measured(bytes, ms))));
    const frames = preview ? Math.floor(this.seconds * rate) : Math.max(...shapes.map((one) => one.frames));
    this.pieces?.close();
    this.pieces = new Pieces(context, tracks, {rate, frames, length, ahead: 3});
    this.pieces.loop = this.loop;
    this.pieces.onwait = (on) => this.tell(on ? 'Waiting for the next seconds…' : this.what);
    this.pieces.onend = () => { this.at = 0; this.playing(false); this.paint(); };
    this.pieces.onfault = (fault) => { this.playing(false); this.tell(fault.message); };
    this.what = preview ? 'This is a preview in lower quality; what you save is the stem itself.' : '';
    this.tell(this.what);
    this.preview = preview;
    this.levels();
  }

  /** Stems can be played as they are if all are WAV of one rate. */
  get plain() {
    const rates = new Set(this.tracks.map((one) => one.stem.pcm?.rate));
    return rates.size === 1 && !rates.has(undefined);
  }

  /** All stems are fetched at once, so each gets its part of the line. */
  measured(bytes, ms) {
    if (this.judged) return;
    this.judged = true;
    const speed = (bytes * 8 * this.tracks.length) / (ms / 1000);
    if (ms < 400 || speed >= SLOW) return;
    const {playing} = this.pieces;
    this.make(true);
    if (playing) this.play();
  }

  async toggle() {
    if (this.pieces?.playing) {
      this.pieces.pause();
      this.at = this.pieces.at;
      this.playing(false);
      this.paint();
    } else {
      if (!this.pieces) this.make(!this.plain);
      await this.play();
    }
  }

  async play() {
    const {pieces} = this, {context} = pieces;
    this.playing(true);
    const device = await Promise.race([context.resume().then(() => true), new Promise((ok) => setTimeout(ok, NO_SOUND, false))]);
    if (!device) {
      this.playing(false);
      this.tell('No sound device answers. Saving works all the same.');
      return;
    }
    if (pieces === this.pieces) await pieces.play(this.at);
  }

  playing(on) {
    setText(this.playButton, on ? 'Pause' : 'Play');
  }

  async seek(seconds) {
    this.at = Math.min(Math.max(0, seconds), Math.max(0, this.seconds - 0.05));
    this.paint();
    await this.pieces?.seek(this.at);
  }

  gain(track) {
    const soloed = this.tracks.some((one) => one.solo);
    return (soloed ? track.solo : !track.muted) ? track.volume : 0;
  }

  levels() {
    for (const track of this.tracks) {
      const gain = this.gain(track);
      this.pieces?.level(track.n, gain);
      track.row.classList.toggle('silent', gain === 0);
      track.muteButton.setAttribute('aria-pressed', track.muted);
      track.soloButton.setAttribute('aria-pressed', track.solo);
      track.fader.setAttribute('aria-valuetext', `${Math.round(track.volume * 100)} %`);
    }
    this.mixButton.disabled = this.tracks.every((track) => this.gain(track) === 0);
  }

  // -- loops ---------------------------------------------------------------------------------

  /** The nearest bar where the tempo is known, counted from the start. */
  snap(seconds) {
    if (!this.song.bpm) return seconds;
    const bar = 240 / this.song.bpm;
    return Math.min(this.seconds, Math.round(seconds / bar) * bar);
  }

  setMark(which) {
    this.marks[which] = this.snap(this.at);
    const {a = 0, b = this.seconds} = this.marks;
    if (b - a >= 0.2) this.setLoop([a, b]);
    else {
      this.marks = {[which]: this.marks[which]};
      this.tell('The loop has to end after it begins.');
    }
  }

  toggleLoop() {
    const {a = 0, b = this.seconds} = this.marks;
    this.setLoop(this.loop ? null : [a, b]);
  }

  loopBars() {
    const bars = Number(this.bars.value);
    if (!bars) return;
    const bar = 240 / this.song.bpm, a = Math.floor(this.at / bar + 1e-6) * bar;
    this.marks = {a, b: Math.min(a + bars * bar, this.seconds)};
    this.setLoop([this.marks.a, this.marks.b]);
  }

  setLoop(loop) {
    this.loop = loop;
    this.loopButton.setAttribute('aria-pressed', loop !== null);
    if (!loop) this.bars.value = '';
    this.tell(loop ? `Loop from ${clock(loop[0])} to ${clock(loop[1])}.` : '');
    if (this.pieces) {
      this.pieces.loop = loop;
      const at = this.pieces.position();
      if (this.pieces.playing) this.pieces.play(loop && (at < loop[0] || at >= loop[1]) ? loop[0] : at);
    }
    if (loop && !this.pieces?.playing && (this.at < loop[0] || this.at >= loop[1])) this.seek(loop[0]);
    this.paint();
  }

  // -- the rest ------------------------------------------------------------------------------

  key(event) {
    const control = event.target.matches('input, select');
    if (event.ctrlKey || event.metaKey || event.altKey || (control && event.key !== ' ')) return;
    const digit = event.code.match(/^Digit([1-9])$/);
    const does = {
      ' ': () => this.toggle(), ArrowLeft: () => this.seek(this.at - STEP), ArrowRight: () => this.seek(this.at + STEP),
      a: () => this.setMark('a'), b: () => this.setMark('b'), l: () => this.toggleLoop(),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (event.key === ' ' && event.target.matches('button, a, select')) return; // its own press
    if (digit) this.tracks[digit[1] - 1]?.[event.shiftKey ? 'soloButton' : 'muteButton'].click();
    else if (does) does();
    else return;
    event.preventDefault();
  }

  async saveMix() {
    const gains = Object.fromEntries(this.tracks.map((one) => [one.stem.id, Math.round(this.gain(one) * 100) / 100]));
    this.mixButton.disabled = true;
    this.tell('Mixing…');
    try {
      const answer = await ask(`${this.base}/mix`, {method: 'POST', body: {gains, format: this.format.value}, raw: true});
      const url = URL.createObjectURL(await answer.blob());
      el('a', {href: url, download: `${titleOf(this.song)} (Mix).${this.format.value}`}).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      this.tell('The mix is saved.');
    } catch (fault) {
      this.tell(`${fault.message} ${fault.hint || ''}`);
    }
    this.levels();
  }

  tell(words) {
    setText(this.note, words);
    if (words) say(words);
  }

  close() {
    clearInterval(this.timer);
    this.observer?.disconnect();
    if (this.scheme) this.scheme.onchange = null;
    this.pieces?.close();
  }
}
