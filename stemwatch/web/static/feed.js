// What the page hears of the service, and how long ago that was.

import {$, setText} from './dom.js';

const LATE = 20000; // ms without even a ping

/** `on` has a function for each kind of news: snapshot, jobs, service, login. */
export function listen(on) {
  let heard = Date.now(), lost = false, ended = false;
  const take = ([name, data]) => {
    if (name === 'lost') {
      lost = true;
      heard = data.heard || heard;
    } else if (name === 'bye') {
      ended = true;
    } else if (name !== 'login') {
      heard = data.heard || Date.now();
      lost = ended = false;
    }
    on[name]?.(data);
    age();
  };
  const age = () => {
    const seconds = Math.round((Date.now() - heard) / 1000);
    const live = !lost && !ended && seconds * 1000 < LATE;
    $('dot').className = live ? 'live' : 'lost';
    setText($('link-text'), live ? 'live' : ended ? 'the service was stopped' : `last news ${seconds} s ago`);
  };
  setInterval(age, 1000);
  return connect(take);
}

/** Starts to listen; returns a function that connects again after a login. */
function connect(take) {
  let again = () => {};
  const alone = async () => {
    const {Feed} = await import('./stream.js');
    const feed = new Feed();
    again = () => feed.open();
    feed.add(take);
  };
  if (typeof SharedWorker === 'undefined') {
    alone();
  } else {
    const worker = new SharedWorker('static/stream.js', {type: 'module', name: 'stemwatch'});
    const {port} = worker;
    worker.onerror = alone; // a browser that takes no modules there
    port.onmessage = ({data}) => take(data);
    port.postMessage('come');
    again = () => port.postMessage('login');
    addEventListener('pagehide', () => port.postMessage('leave'));
    addEventListener('pageshow', (event) => { if (event.persisted) port.postMessage('come'); });
  }
  return () => again();
}
