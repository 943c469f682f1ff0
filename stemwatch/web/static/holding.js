// Pause and resume: one button, which says what it does next. Pausing is "Hold" here: the player has
// a button "Pause", and a screen reader names both.

import {$, say, setText} from './dom.js';
import {ask} from './words.js';

let held = false;

export function know(now) {
  held = now;
  setText($('pause'), held ? 'Resume' : 'Hold');
}

async function order(path, body) {
  $('pause').disabled = true;
  try {
    const {words} = await ask(path, {method: 'POST', body});
    say(words);
  } catch (fault) {
    say(`${fault.message} ${fault.hint || ''}`);
  }
  $('pause').disabled = false;
}

$('pause').onclick = () => {
  if (held) {
    order('api/resume', {});
    return;
  }
  const dialog = $('hold');
  dialog.returnValue = 'no';
  dialog.onclose = () => {
    if (dialog.returnValue === 'yes') order('api/pause', {until: $('until').value || null});
  };
  dialog.showModal();
};
