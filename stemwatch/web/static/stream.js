// One event stream for all tabs of a browser: six connections to a host are all that HTTP/1.1 has.
// Runs as a SharedWorker; where there is none, the page imports it and is its only listener.

const SILENT = 40000; // ms: two pings and some
const EVENTS = new URL('../api/events', import.meta.url);
const STATE = new URL('../api/state', import.meta.url);

export class Feed {
  constructor() {
    this.listeners = new Set();
    this.jobs = new Map();
    this.service = null;
    this.last = '';
    this.heard = 0;
    this.wait = 1000;
    setInterval(() => this.watch(), 5000);
  }

  add(listener) {
    this.listeners.add(listener);
    if (this.service) listener(['snapshot', this.snapshot()]);
    if (!this.source) this.open();
  }

  remove(listener) {
    this.listeners.delete(listener);
    if (!this.listeners.size) this.shut(); // nobody watches: the service need not look
  }

  snapshot() {
    return {jobs: [...this.jobs.values()], service: this.service, heard: this.heard};
  }

  open() {
    this.shut();
    const url = new URL(EVENTS);
    if (this.last) url.searchParams.set('last', this.last);
    this.heard = Date.now();
    this.source = new EventSource(url);
    for (const name of ['snapshot', 'jobs', 'service', 'ping', 'bye']) {
      this.source.addEventListener(name, (event) => this.take(name, event));
    }
    this.source.onerror = () => this.failed();
  }

  shut() {
    clearTimeout(this.again);
    this.source?.close();
    this.source = null;
  }

  take(name, event) {
    this.heard = Date.now();
    this.wait = 1000;
    if (event.lastEventId) this.last = event.lastEventId;
    const data = JSON.parse(event.data);
    if (name === 'snapshot') {
      this.jobs = new Map(data.jobs.map((job) => [job.id, job]));
      this.service = data.service;
    } else if (name === 'jobs') {
      for (const job of data.jobs) this.jobs.set(job.id, job);
      for (const id of data.gone) this.jobs.delete(id);
    } else if (name === 'service') {
      this.service = data;
    }
    this.tell([name, data]);
  }

  tell(message) {
    for (const listener of this.listeners) listener(message);
  }

  /** A browser gives up for ever after some answers: then it is we who connect again. */
  async failed() {
    this.tell(['lost', {heard: this.heard}]);
    if (this.source?.readyState !== 2) return;
    this.shut();
    try {
      if ((await fetch(STATE, {method: 'HEAD'})).status === 401) {
        this.tell(['login', {}]);
        return; // until somebody has logged in
      }
    } catch { /* no network yet */ }
    this.again = setTimeout(() => this.open(), this.wait);
    this.wait = Math.min(this.wait * 2, 15000);
  }

  watch() {
    if (this.source && Date.now() - this.heard > SILENT) {
      this.tell(['lost', {heard: this.heard}]);
      this.open();
    }
  }
}

if (typeof SharedWorkerGlobalScope !== 'undefined') {
  const feed = new Feed();
  self.onconnect = (event) => {
    const port = event.ports[0];
    const listener = (message) => port.postMessage(message);
    port.onmessage = ({data}) => {
      if (data === 'leave') feed.remove(listener);
      else if (data === 'login') feed.open();
      else feed.add(listener);
    };
  };
}
