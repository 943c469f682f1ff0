// Songs on their way, and those that need somebody.

import {$, el, say, setText, show, span} from './dom.js';
import {ask, stageOf, titleOf} from './words.js';

const MOST = 150; // rows
const ORDER = ['delivered', 'separated', 'separating', 'submitting', 'queued'];
const jobs = new Map();
const rows = new Map();
let drawing = 0;

export function reset(list) {
  jobs.clear();
  change(list, []);
}

/** Returns whether a song has stems that had none; a quick one may never have been seen before. */
export function change(list, gone) {
  let ended = false;
  for (const job of list) {
    const before = jobs.get(job.id);
    if (job.has_stems && !before?.has_stems) ended = true;
    if (before && before.state !== job.state) {
      if (job.has_stems && !before.has_stems) say(`${titleOf(job)} is done.`);
      if (job.state === 'quarantined') say(`${titleOf(job)} needs you: ${job.message}`);
    }
    jobs.set(job.id, job);
  }
  for (const id of gone) jobs.delete(id);
  drawing ||= requestAnimationFrame(draw);
  return ended;
}

function draw() {
  drawing = 0;
  const all = [...jobs.values()];
  const way = all.filter((job) => ORDER.includes(job.state))
    .sort((a, b) => (b.stage !== null) - (a.stage !== null)
      || ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.id - b.id);
  const bad = all.filter((job) => job.state === 'quarantined').sort((a, b) => b.id - a.id);
  show($('queue'), way.slice(0, MOST).map((job) => row(job, drawJob, makeJob)));
  show($('bad-list'), bad.slice(0, MOST).map((job) => row(job, drawBad, makeBad)));
  for (const id of rows.keys()) if (!jobs.has(id)) rows.delete(id);
  $('queue-empty').hidden = way.length > 0;
  $('bad').hidden = !bad.length;
  $('retry-all').hidden = bad.length < 2;
  setText($('bad-count'), bad.length > 1 ? String(bad.length) : '');
}

export function counts(of, remaining) {
  const waiting = ORDER.reduce((sum, state) => sum + (of[state] || 0), 0);
  const left = remaining === null ? '' : ` · about ${span(remaining)} left`;
  setText($('queue-count'), waiting ? waiting + left : '');
  document.title = waiting ? `${waiting} on the way · stemwatch` : 'stemwatch';
  $('queue-more').hidden = waiting <= MOST;
  setText($('queue-more'), `… and ${waiting - MOST} more`);
}

function row(job, fill, make) {
  let held = rows.get(job.id);
  if (!held || held.make !== make) {
    held = {make, parts: make(job), v: -1};
    rows.set(job.id, held);
  }
  if (held.v !== job.v) fill(held.parts, job);
  held.v = job.v;
  return held.parts.li;
}

function base(kind) {
  const parts = {name: el('span', {className: 'name'}), where: el('span', {className: 'where'}),
    why: el('span', {className: 'why'})};
  parts.li = el('li', {className: `job ${kind}`}, parts.name);
  return parts;
}

function place(job) {
  return [job.inbox, job.folder].filter(Boolean).join(' · ');
}

function makeJob() {
  const parts = base('');
  parts.stage = el('span', {className: 'stage'});
  parts.bar = el('progress', {max: 1});
  parts.li.append(parts.stage, el('span', {className: 'bar'}, parts.bar), parts.where, parts.why);
  return parts;
}

function drawJob(parts, job) {
  const share = job.share === null || job.share === 1 ? '' : ` ${Math.round(job.share * 100)} %`;
  const left = job.remaining === null ? '' : ` · ${span(job.remaining)} left`;
  setText(parts.name, job.name);
  setText(parts.stage, stageOf(job) + share + left);
  parts.bar.setAttribute('aria-label', `${job.name}: ${stageOf(job)}`);
  parts.bar.classList.toggle('off', job.stage === null);
  if (job.share === null) parts.bar.removeAttribute('value');
  else parts.bar.value = job.share;
  setText(parts.where, place(job));
  parts.where.hidden = !place(job);
  setText(parts.why, job.message ? `${job.message} ${job.hint || ''}` : '');
  parts.why.hidden = !job.message;
}

function makeBad(job) {
  const parts = base('bad');
  const retry = el('button', {type: 'button', textContent: 'Retry', onclick: () => again(parts, retry)});
  parts.retry = retry;
  parts.fault = el('span', {className: 'why fault', role: 'alert'});
  parts.li.append(retry, parts.where, parts.why, parts.fault);
  parts.id = job.id;
  return parts;
}

function drawBad(parts, job) {
  setText(parts.name, job.name);
  parts.retry.setAttribute('aria-label', `Retry ${job.name}`);
  setText(parts.where, place(job));
  parts.where.hidden = !place(job);
  setText(parts.why, `${job.message || job.code} ${job.hint || ''}`);
  parts.charged = job.may_be_charged_again;
}

async function again(parts, button) {
  if (parts.charged && !await sure()) return;
  button.disabled = true;
  setText(parts.fault, '');
  try {
    await ask(`api/quarantine/${parts.id}/retry`, {method: 'POST', body: parts.charged ? {yes: true} : {}});
    say('It goes on.');
  } catch (fault) {
    setText(parts.fault, `${fault.message} ${fault.hint || ''}`);
  }
  button.disabled = false;
}

function sure() {
  setText($('ask-h'), 'It may be charged again');
  setText($('ask-text'), 'It is not known whether this song was charged: the service never got an answer. '
    + 'Look in your StemSplit dashboard first. A retry may be charged once more.');
  setText($('ask-yes'), 'Retry anyway');
  const dialog = $('ask');
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((ok) => {
    dialog.onclose = () => ok(dialog.returnValue === 'yes');
  });
}

$('retry-all').onclick = async (event) => {
  event.target.disabled = true;
  try {
    const {retried, left} = await ask('api/quarantine/retry-all', {method: 'POST'});
    say(`${retried.length} go on${left.length ? `, ${left.length} were left` : ''}.`);
  } catch (fault) {
    say(fault.message);
  }
  event.target.disabled = false;
};
