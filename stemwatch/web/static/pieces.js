// Stems played from pieces on one clock: each piece starts on a whole frame of the context, so stems
// can't part. A late piece suspends the context, and with it all of them.

const SOON = 0.06; // seconds from a press of "play" to the first sound

export class Pieces {
  /**
   * `tracks`: {load(k, signal) -> {buffer, lead}} each; `rate` and `frames` of the song; `length` of a
   * piece in seconds, `ahead` how many are fetched before they are due.
   */
  constructor(context, tracks, {rate, frames, length, ahead}) {
    Object.assign(this, {context, tracks, rate, frames, ahead});
    this.per = length * rate;
    this.cache = new Map();
    this.at = 0; // seconds, while nothing plays
    this.playing = false;
    this.loop = null; // [from, to] in seconds
    this.onwait = () => {};
    this.onend = () => {};
    this.onfault = () => {};
    this.gains = tracks.map(() => {
      const gain = context.createGain();
      gain.connect(context.destination);
      return gain;
    });
  }

  level(track, value) {
    this.gains[track].gain.setTargetAtTime(value, this.context.currentTime, 0.01);
  }

  /** All stems of piece k: {done, ready}, fetched once and kept while it is near. */
  piece(k) {
    let held = this.cache.get(k);
    if (held) return held;
    const abort = new AbortController();
    held = {abort, ready: null};
    held.done = Promise.all(this.tracks.map((track) => track.load(k, abort.signal)))
      .then((parts) => { held.ready = parts; });
    held.done.catch(() => this.cache.delete(k));
    this.cache.set(k, held);
    for (const [other, one] of this.cache) {
      if (this.cache.size <= this.ahead + 2) break;
      if (other < k - this.ahead - 1 || other > k + this.ahead) {
        one.abort.abort();
        this.cache.delete(other);
      }
    }
    return held;
  }

  async play(at = this.at) {
    this.pause();
    this.at = at;
    const turn = this.turn = {};
    this.playing = true;
    this.nodes = new Set();
    const from = Math.round(at * this.rate);
    try {
      await this.fetched(turn, Math.floor(from / this.per), Infinity);
    } catch (fault) {
      this.fail(turn, fault);
    }
    if (this.turn !== turn) return;
    const start = Math.ceil(this.context.currentTime * this.rate) + Math.round(SOON * this.rate);
    this.marks = [{at: start, frame: from}];
    this.run(turn, from, start).catch((fault) => this.fail(turn, fault));
  }

  fail(turn, fault) {
    if (this.turn !== turn) return;
    this.pause();
    this.onfault(fault);
  }

  /** Wait for piece k, due in so many seconds; the sound stands still from then on. */
  async fetched(turn, k, due) {
    const late = setTimeout(() => {
      if (this.turn !== turn) return;
      this.onwait(true);
      if (due !== Infinity) this.context.suspend();
    }, due === Infinity ? 300 : Math.max(0, due * 1000 - 30));
    try {
      for (let wait = 500; this.turn === turn; wait = Math.min(wait * 2, 8000)) {
        const held = this.piece(k);
        try {
          await held.done;
          break;
        } catch (fault) {
          if (fault.lost) throw fault;
          await new Promise((ok) => setTimeout(ok, wait));
        }
      }
    } finally {
      clearTimeout(late);
    }
    if (this.turn !== turn) return;
    this.onwait(false);
    if (this.context.state === 'suspended') await this.context.resume();
  }

  async run(turn, frame, when) {
    const now = () => this.context.currentTime * this.rate;
    while (this.turn === turn) {
      const [from, to] = this.loop
        ? this.loop.map((seconds) => Math.round(seconds * this.rate)) : [0, this.frames];
      if (frame >= to) {
        if (!this.loop) break;
        frame = from;
        this.mark(when, frame);
      }
      const k = Math.floor(frame / this.per);
      if (!this.piece(k).ready) {
        await this.fetched(turn, k, (when - now()) / this.rate);
        if (this.turn !== turn) return;
      }
      if (when < now()) { // the page slept: begin anew from here, all stems alike
        when = Math.ceil(now()) + Math.round(0.05 * this.rate);
        this.mark(when, frame);
      }
      const offset = frame - k * this.per;
      const count = Math.min(this.per - offset, to - frame);
      this.start(this.piece(k).ready, when, offset, count);
      frame += count;
      when += count;
      for (let n = 0, next = frame; n < this.ahead && next < to; n++, next += this.per) {
        this.piece(Math.floor(next / this.per));
      }
      const rest = (when - now()) / this.rate - (this.per / this.rate) * 0.5;
      if (rest > 0) await new Promise((ok) => setTimeout(ok, rest * 1000));
    }
    if (this.turn !== turn) return;
    setTimeout(() => {
      if (this.turn !== turn) return;
      this.pause();
      this.at = 0;
      this.onend();
    }, ((when - now()) / this.rate) * 1000);
  }

  start(parts, when, offset, count) {
    parts.forEach(({buffer, lead}, track) => {
      if (!buffer) return; // this stem has ended
      const node = this.context.createBufferSource();
      node.buffer = buffer;
      node.connect(this.gains[track]);
      node.onended = () => { node.disconnect(); this.nodes.delete(node); };
      node.start(when / this.rate, (offset + lead) / this.rate, count / this.rate);
      this.nodes.add(node);
    });
  }

  mark(at, frame) {
    this.marks.push({at, frame});
    if (this.marks.length > 20) this.marks.shift();
  }

  /** Seconds into the song. */
  position() {
    if (!this.playing || !this.marks) return this.at;
    const now = this.context.currentTime * this.rate;
    const mark = this.marks.findLast((one) => one.at <= now) || this.marks[0];
    return (mark.frame + Math.max(0, now - mark.at)) / this.rate;
  }

  pause() {
    if (!this.playing) return;
    this.at = this.position();
    this.playing = false;
    this.turn = null;
    this.marks = null;
    for (const node of this.nodes) {
      node.onended = null;
      node.stop();
      node.disconnect();
    }
    this.nodes.clear();
    this.onwait(false);
  }

  async seek(at) {
    if (this.playing) await this.play(at);
    else this.at = at;
  }

  close() {
    this.pause();
    for (const one of this.cache.values()) one.abort.abort();
    this.cache.clear();
    this.context.close();
  }
}

const lost = (words) => Object.assign(new Error(words), {lost: true});

async function fetchFault(answer) {
  const {error, hint = ''} = await answer.json().catch(() => ({}));
  const words = error ? `${error} ${hint}` : `The service answered ${answer.status}.`;
  return [404, 410, 416].includes(answer.status) ? lost(words) : new Error(words);
}

/** Pieces of `length` seconds of a WAV, by ranges. `told(bytes, ms)` of each that came. */
export function wavTrack(context, url, pcm, length, told) {
  const per = length * pcm.rate, size = (pcm.channels * pcm.bits) / 8;
  let tag = null; // of the first piece: others of a changed file would fit nowhere
  return {
    async load(k, signal) {
      const from = k * per, count = Math.min(per, pcm.frames - from);
      if (count <= 0) return {buffer: null, lead: 0};
      const first = pcm.offset + from * size, began = performance.now();
      const headers = {Range: `bytes=${first}-${first + count * size - 1}`, ...(tag && {'If-Range': tag})};
      const answer = await fetch(url, {headers, signal});
      if (answer.status === 200) throw lost('This stem has changed. Open the song again.');
      if (answer.status !== 206) throw await fetchFault(answer);
      tag = answer.headers.get('ETag');
      const raw = await answer.arrayBuffer();
      told(raw.byteLength, performance.now() - began);
      return {buffer: unpacked(context, raw, pcm, count), lead: 0};
    },
  };
}

function unpacked(context, raw, {channels, rate, bits, float}, count) {
  const buffer = context.createBuffer(channels, count, rate), view = new DataView(raw), step = bits / 8;
  const short = bits === 16 ? new Int16Array(raw) : null;
  for (let channel = 0; channel < channels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let n = 0, at = channel; n < count; n++, at += channels) {
      if (short) samples[n] = short[at] / 32768;
      else if (float) samples[n] = view.getFloat32(at * step, true);
      else if (bits === 24) samples[n] = ((view.getUint16(at * 3, true) | (view.getInt8(at * 3 + 2) << 16))) / 8388608;
      else samples[n] = view.getInt32(at * step, true) / 2147483648;
    }
  }
  return buffer;
}

/** Pieces of 4 seconds as Opus: a tenth of the bytes, at 48 kHz. From the second on 0.1 s come before. */
export function previewTrack(context, url) {
  return {
    async load(k, signal) {
      const answer = await fetch(`${url}/preview/${k}`, {signal});
      if (answer.status === 404) return {buffer: null, lead: 0};
      if (!answer.ok) throw await fetchFault(answer);
      const buffer = await context.decodeAudioData(await answer.arrayBuffer());
      return {buffer, lead: k ? 4800 : 0};
    },
  };
}
