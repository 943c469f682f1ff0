// The page: what is heard goes where it is shown.

import {$, el, setText, span} from './dom.js';
import {listen} from './feed.js';
import * as holding from './holding.js';
import * as queue from './queue.js';
import * as songs from './songs.js';
import * as uploads from './uploads.js';
import {ask, onLoggedOut} from './words.js';

let reloading = 0;
function songsChanged() {
  clearTimeout(reloading);
  reloading = setTimeout(() => songs.load(), 300);
}

/** What is wrong beside the pauses, in the form of one. */
function troubles(service) {
  const note = (code, inbox, message) => ({code, inbox, message, hint: '', next_try: '', word: 'Note'});
  return [
    ...(service.stopping ? [note('stopping', null, 'The service is being stopped; songs go on at its next start.')] : []),
    ...service.inboxes.filter((one) => !one.healthy)
      .map((one) => note('watcher', one.name, 'The watcher of the inbox is down; it is looked through now and then.')),
    ...(service.unreadable ? [note('unreadable', null, `${service.unreadable} files or folders of the inbox can't be read: \`stemwatch status\` names them.`)] : []),
  ];
}

/** What a person or the clock holds back: nothing is wrong, and nothing is tried. */
const ORDERED = {on_hold: 'On hold', off_hours: 'Waiting'};

let tries = []; // of the pauses shown: where it stands, and the time as the service says it

function pauses(list) {
  holding.know(list.some((one) => one.code === 'on_hold'));
  const now = JSON.stringify(list.map((one) => [one.code, one.inbox, one.message]));
  if ($('pauses').dataset.now !== now) {
    $('pauses').dataset.now = now;
    $('pauses').replaceChildren(...list.map((one) => {
      const className = ORDERED[one.code] ? 'pause held' : 'pause';
      return el('p', {className}, el('strong', {textContent: `${one.word || ORDERED[one.code] || 'Paused'}${one.inbox ? ` (${one.inbox})` : ''}: `}),
        `${one.message} ${one.hint}`, el('span', {className: 'again', 'aria-live': 'off'}));
    }));
  }
  const places = $('pauses').querySelectorAll('.again');
  tries = list.map((one, n) => [places[n], ORDERED[one.code] ? '' : one.next_try]);
  countDown();
}

/** Beside the words of the alert: with each change of theirs it would be read out again. */
function countDown() {
  for (const [place, time] of tries) {
    const left = (Date.parse(time) - Date.now()) / 1000;
    setText(place, left > 1 ? ` Tried again in ${span(left)}.` : '');
  }
}

function money(service) {
  const parts = [];
  const spent = service.money;
  if (service.separates === 'local') parts.push('separated on this machine, free');
  else if (spent) {
    for (const [name, words] of [['today', 'today'], ['month', 'this month']]) {
      const {minutes, price, limit} = spent[name];
      const of = limit === null ? '' : ` of ${limit}`;
      const cost = price > 0 ? ` ≈ ${price.toFixed(2)} ${spent.currency}` : '';
      parts.push(`${words} ${minutes.toFixed(1)}${of} min${cost}`);
    }
    if (spent.holding) parts.push(`${spent.holding.files} wait for ${spent.holding.key}`);
  }
  if (service.credit) parts.push(`credit ${(service.credit.seconds / 60).toFixed(0)} min`);
  if ($('money').dataset.now === parts.join()) return;
  $('money').dataset.now = parts.join();
  $('money').replaceChildren(...parts.map((textContent) => el('span', {textContent})));
}

function take(service) {
  $('logout').hidden = !service.login;
  uploads.know(service);
  queue.counts(service.counts, service.remaining);
  pauses([...service.pauses, ...troubles(service)]);
  money(service);
}

let again = () => {}; // connects the stream after a login
let logged = null;
function login() {
  const dialog = $('login');
  if (logged) return;
  uploads.hold(new Promise((ok) => { logged = ok; }));
  $('logout').hidden = true;
  if (!dialog.open) dialog.showModal();
}
$('login').oncancel = (event) => event.preventDefault(); // there is nothing behind it
$('login-form').onsubmit = async (event) => {
  event.preventDefault();
  setText($('login-fault'), '');
  try {
    await ask('api/login', {method: 'POST', body: {password: $('password').value}});
  } catch (fault) {
    setText($('login-fault'), `${fault.message} ${fault.hint || ''}`);
    $('password').select();
    return;
  }
  $('password').value = '';
  $('login').close();
  logged?.();
  logged = null;
  again();
  songs.load();
};
$('logout').onclick = async () => {
  await ask('api/logout', {method: 'POST'});
  location.reload();
};
onLoggedOut(login);
addEventListener('login-needed', login);

again = listen({
  snapshot: ({jobs, service}) => {
    take(service);
    queue.reset(jobs);
    songsChanged();
    songs.openLinked();
  },
  jobs: ({jobs, gone}) => { if (queue.change(jobs, gone)) songsChanged(); },
  service: take,
  ping: countDown,
  login,
});
