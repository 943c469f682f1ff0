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
      || ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || b.first_at - a.first_at || a.id - b.id);
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

function makeJob(job) {
  const parts = base('way');
  parts.stage = el('span', {className: 'stage'});
  parts.bar = el('progress', {max: 1});
  parts.first = el('button', {type: 'button', className: 'quiet cross', textContent: '↑', title: 'Submit it next', onclick: () => act(parts, parts.first, `api/jobs/${job.id}/first`, false)});
  parts.cancel = el('button', {type: 'button', className: 'quiet cross', textContent: '×', title: 'Cancel', onclick: () => cancel(parts, job)});
  parts.fault = el('span', {className: 'why fault', role: 'alert'});
  parts.li.append(parts.stage, parts.first, parts.cancel, el('span', {className: 'bar'}, parts.bar), parts.where, parts.why, parts.fault);
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
  for (const button of [parts.first, parts.cancel]) button.classList.toggle('off', job.state !== 'queued');
  parts.first.setAttribute('aria-label', `Submit ${job.name} next`);
  parts.cancel.setAttribute('aria-label', `Cancel ${job.name}`);
  setText(parts.why, job.message ? `${job.message} ${job.hint || ''}` : '');
  parts.why.hidden = !job.message;
}

function makeBad(job) {
  const parts = base('bad');
  parts.retry = el('button', {type: 'button', className: 'quiet', textContent: 'Retry', onclick: () => again(parts)});
  parts.discard = el('button', {type: 'button', className: 'quiet', textContent: 'Discard', onclick: () => discard(parts)});
  parts.fault = el('span', {className: 'why fault', role: 'alert'});
  parts.li.append(el('span', {className: 'does'}, parts.retry, parts.discard), parts.where, parts.why, parts.fault);
  parts.id = job.id;
  return parts;
}

function drawBad(parts, job) {
  setText(parts.name, job.name);
  parts.retry.setAttribute('aria-label', `Retry ${job.name}`);
  parts.discard.setAttribute('aria-label', `Discard ${job.name}`);
  parts.title = job.name;
  setText(parts.where, place(job));
  parts.where.hidden = !place(job);
  setText(parts.why, `${job.message || job.code} ${job.hint || ''}`);
  parts.charged = job.may_be_charged_again;
}

/** One call for one row; what it is refused for stands below it. */
async function act(parts, button, path, yes) {
  button.disabled = true;
  setText(parts.fault, '');
  try {
    const {words} = await ask(path, {method: 'POST', body: yes ? {yes: true} : {}});
    say(words);
  } catch (fault) {
    setText(parts.fault, `${fault.message} ${fault.hint || ''}`);
  }
  button.disabled = false;
}

async function again(parts) {
  const text = 'It is not known whether this song was charged: the service never got an answer. '
    + 'Look in your StemSplit dashboard first. A retry may be charged once more.';
  if (parts.charged && !await sure('It may be charged again', text, 'Retry anyway')) return;
  await act(parts, parts.retry, `api/quarantine/${parts.id}/retry`, parts.charged);
}

async function discard(parts) {
  const text = `${parts.title} goes to the archive, and nothing is done with it any more. `
    + 'Stems that are paid for already are given up.';
  if (!await sure('Discard this song?', text, 'Discard it')) return;
  await act(parts, parts.discard, `api/quarantine/${parts.id}/discard`, true);
}

async function cancel(parts, {id, name}) {
  const text = `${name} goes to the archive. It is not submitted, and costs nothing.`;
  if (await sure('Cancel this song?', text, 'Cancel it')) await act(parts, parts.cancel, `api/jobs/${id}/cancel`, false);
}

function sure(title, text, yes) {
  setText($('ask-h'), title);
  setText($('ask-text'), text);
  setText($('ask-yes'), yes);
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
