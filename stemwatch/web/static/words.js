// What things are called on the page, and how the server is asked.

const STAGES = {preparing: 'preparing', upload: 'uploading', separating: 'separating', download: 'fetching stems', unpacking: 'unpacking', delivering: 'delivering'};
const STATES = {queued: 'waiting', submitting: 'uploading', separating: 'separating', separated: 'separated', delivered: 'delivered', done: 'done', quarantined: 'needs you'};

export function stageOf(job) {
  if (job.stage === 'upload' && job.share === 1) return 'uploaded, next in line';
  return STAGES[job.stage] || STATES[job.state] || job.state;
}

export const titleOf = (job) => job.name.replace(/\.[^.]+$/, '') || job.name;

export function keyOf(job) {
  if (!job.key) return '';
  return job.key.camelot ? `${job.key.raw} · ${job.key.camelot}` : job.key.raw;
}

export const bpmOf = (job) => (job.bpm ? `${Math.round(job.bpm * 10) / 10} BPM` : '');

export function when(time) {
  const at = new Date(time), today = new Date();
  const sameDay = at.toDateString() === today.toDateString();
  return sameDay
    ? at.toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'})
    : at.toLocaleDateString([], {year: 'numeric', month: 'short', day: 'numeric'});
}

export class Refused extends Error {
  constructor(status, body) {
    super(body.error || `The service answered ${status}.`);
    this.status = status;
    this.code = body.code || '';
    this.hint = body.hint || '';
  }
}

let loggedOut = () => {};
export const onLoggedOut = (tell) => { loggedOut = tell; };

/** A JSON answer (or the Response itself, `raw`). Throws Refused, or TypeError without a network. */
export async function ask(path, {method = 'GET', body, raw = false} = {}) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : {'Content-Type': 'application/json'},
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    if (answer.status === 401 && told.code === 'login') loggedOut();
    throw new Refused(answer.status, told);
  }
  if (raw) return answer;
  return answer.status === 204 ? null : answer.json();
}
