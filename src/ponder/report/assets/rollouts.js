// The browser of rollouts: a step, its problems, and the whole group of one problem side by side.

const VERDICTS = { correct: '✓', incorrect: '✗', unparsable: '?', error: '!' };
const SORTS = {
  'as sampled': null,
  'fewest correct first': (a, b) => a.rate - b.rate,
  'most correct first': (a, b) => b.rate - a.rate,
  'longest first': (a, b) => b.tokens - a.tokens,
  'mixed groups first': (a, b) => Math.abs(a.rate - 0.5) - Math.abs(b.rate - 0.5),
};

const PLAINLY = { words: null, find: '', spaces: false };

async function decode(step) {
  const packed = atob(document.getElementById(`rollouts-${step}`).textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return (await new Response(stream).json()).groups;
}

class Browser {
  constructor(host, data) {
    this.host = host;
    this.info = data.rollouts;
    this.steps = data.rollouts.steps.map((one) => one.step);
    this.words = new RegExp(`\\b(?:${data.words.join('|')})\\b`, 'gi');
    this.decoded = new Map();
    this.verdict = null;
    this.find = '';
    this.problem = 0;
    this.step = null;
    if (this.steps.length === 0) host.append(el('p', { class: 'note' }, 'This run has no rollouts to show.'));
    else if (typeof DecompressionStream === 'undefined') {
      host.append(el('p', { class: 'note' }, 'This browser cannot unpack the rollouts (it has no DecompressionStream); any browser from 2023 on can.'));
      this.steps = [];
    } else this.build();
    this.confess();
  }

  /** Say what is not in this file. */
  confess() {
    const { steps, numSteps, limit, damaged } = this.info;
    const cut = steps.filter((one) => one.kept < one.groups).length;
    const notes = [
      steps.length < numSteps - damaged.length && `The rollouts of ${steps.length} of ${plural(numSteps, 'step')} are in this file, evenly chosen to stay below ${Math.round(limit / 2 ** 20)} MB; all are in the run folder.`,
      cut > 0 && `${plural(cut, 'step')} kept ${cut === 1 ? 'its' : 'their'} first groups only.`,
      ...damaged,
    ].filter(Boolean);
    notes.forEach((note) => this.host.prepend(el('p', { class: 'note' }, note)));
  }

  build() {
    this.slider = el('input', { type: 'range', min: 0, max: this.steps.length - 1, 'aria-label': 'Step' });
    this.slider.addEventListener('input', () => this.show(Number(this.slider.value)));
    const turn = (by, sign, label) => {
      const button = el('button', { type: 'button', 'aria-label': label, onclick: () => this.show(this.index + by) }, sign);
      return button;
    };
    this.stepName = el('b');
    this.chips = el('span', { class: 'chips', role: 'group', 'aria-label': 'Verdict' });
    this.search = el('input', { type: 'search', placeholder: 'search completions', 'aria-label': 'Search completions' });
    this.search.addEventListener('input', () => {
      this.find = this.search.value;
      this.strip.replaceChildren();
      this.refresh();
    });
    this.everywhere = el('button', { type: 'button', onclick: () => this.searchAll() }, 'count in all steps');
    this.sort = el('select', { 'aria-label': 'Order of the problems', onchange: () => this.refresh() },
      ...Object.keys(SORTS).map((name) => el('option', {}, name)));
    this.showWords = el('input', { type: 'checkbox', checked: true, onchange: () => this.drawGroup() });
    this.showSpaces = el('input', { type: 'checkbox', onchange: () => this.drawGroup() });
    this.strip = el('div', { class: 'strip' });
    this.list = el('ol', { class: 'problems' });
    this.list.addEventListener('keydown', (event) => this.walk(event));
    this.group = el('div', { class: 'group' });
    this.host.append(
      el('div', { class: 'controls' },
        el('div', { class: 'steps' }, turn(-1, '‹', 'Earlier step'), turn(1, '›', 'Later step'), this.stepName, this.slider),
        el('div', { class: 'filters' }, this.chips, this.search, this.everywhere)),
      this.strip,
      el('div', { class: 'panes' },
        el('div', { class: 'side' }, el('div', { class: 'sidehead' }, this.count = el('span'), this.sort), this.list),
        this.group));
  }

  /** Open the embedded step nearest to `step`, with what the address asks for. */
  open(step, asked) {
    if (this.steps.length === 0) return;
    if (asked.has('problem')) this.problem = Number(asked.get('problem'));
    if (asked.has('verdict')) this.verdict = Object.hasOwn(VERDICTS, asked.get('verdict')) ? asked.get('verdict') : null;
    if (asked.has('find')) this.find = this.search.value = asked.get('find');
    this.show(nearest(this.steps, step));
  }

  async show(index) {
    this.index = clamp(index, 0, this.steps.length - 1);
    const step = this.steps[this.index];
    this.slider.value = this.index;
    this.stepName.textContent = `step ${step.toLocaleString('en')}`;
    const groups = await this.load(step);
    if (step !== this.steps[this.index]) return; // another step was asked for meanwhile
    if (this.step !== null) writeHash({ step });
    this.step = step;
    this.groups = groups;
    this.skip = commonWords(groups.map((group) => group.question));
    this.problem = clamp(this.problem, 0, groups.length - 1) || 0;
    this.refresh();
  }

  async load(step) {
    if (!this.decoded.has(step)) {
      if (this.decoded.size >= 12) this.decoded.delete(this.decoded.keys().next().value);
      this.decoded.set(step, await decode(step));
    }
    return this.decoded.get(step);
  }

  matches(rollout) {
    return (!this.verdict || rollout.verdict === this.verdict) &&
      (!this.find || rollout.text.toLowerCase().includes(this.find.toLowerCase()));
  }

  /** Draw everything of the step anew, after a change of step, filter, search or order. */
  refresh() {
    if (!this.groups) return;
    this.drawChips();
    const found = this.groups
      .map((group, place) => ({ group, place, ...figuresOf(group) }))
      .filter(({ group }) => group.rollouts.some((rollout) => this.matches(rollout)));
    const order = SORTS[this.sort.value];
    if (order) found.sort(order);
    if (found.length > 0 && !found.some(({ place }) => place === this.problem)) this.problem = found[0].place;
    const filtered = this.verdict || this.find;
    this.count.textContent = filtered ? `${found.length} of ${plural(this.groups.length, 'problem')}` : plural(this.groups.length, 'problem');
    this.everywhere.hidden = !filtered;
    this.list.replaceChildren(...found.map((one) => this.row(one, this.skip)));
    const current = this.list.querySelector('[aria-current]');
    if (current) this.list.scrollTop = Math.max(0, current.offsetTop - this.list.offsetTop - this.list.clientHeight / 3);
    this.drawGroup();
  }

  drawChips() {
    const rollouts = this.groups.flatMap((group) => group.rollouts);
    const chip = (verdict, label, number) => el('button', {
      type: 'button', class: `chip ${verdict ?? ''}`, disabled: number === 0 && this.verdict !== verdict,
      'aria-pressed': this.verdict === verdict,
      onclick: () => { this.verdict = verdict; this.strip.replaceChildren(); this.refresh(); },
    }, label, el('small', {}, number.toLocaleString('en')));
    this.chips.replaceChildren(chip(null, 'all', rollouts.length), ...Object.entries(VERDICTS).map(([verdict, sign]) =>
      chip(verdict, `${sign} ${verdict}`, rollouts.filter((rollout) => rollout.verdict === verdict).length)));
  }

  row({ group, place, correct, tokens }, skip) {
    const cells = group.rollouts.map((rollout) =>
      el('i', { class: `cell ${rollout.verdict}${this.matches(rollout) ? '' : ' dim'}`, title: rollout.verdict }));
    const button = el('button', { type: 'button', onclick: () => this.pick(place) },
      el('span', { class: 'q', title: group.question }, skip ? '… ' : '', verbatim(group.question.slice(skip), PLAINLY)),
      el('span', { class: 'cells' }, ...cells, el('small', {}, `${correct}/${group.rollouts.length} · ${shown(Math.round(tokens))} tokens`)));
    if (place === this.problem) button.setAttribute('aria-current', 'true');
    button.dataset.place = place;
    return el('li', {}, button);
  }

  pick(place) {
    this.problem = place;
    for (const button of this.list.querySelectorAll('button')) {
      if (Number(button.dataset.place) === place) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    }
    this.drawGroup();
    writeHash({ step: this.step, problem: place, verdict: this.verdict, find: this.find });
  }

  walk(event) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const buttons = [...this.list.querySelectorAll('button')];
    const next = buttons[buttons.findIndex((button) => button.hasAttribute('aria-current')) + by];
    if (!next) return;
    next.focus();
    this.pick(Number(next.dataset.place));
  }

  drawGroup() {
    const group = this.groups?.[this.problem];
    if (!group || !this.list.firstChild) {
      this.group.replaceChildren(el('p', { class: 'note' }, 'No completion of this step matches.'));
      return;
    }
    const options = { words: this.showWords.checked ? this.words : null, find: this.find, spaces: this.showSpaces.checked };
    const kept = this.info.steps[this.index];
    this.group.replaceChildren(
      el('div', { class: 'problem' },
        el('p', { class: 'id' }, 'problem ', verbatim(group.id, PLAINLY), ` · verifier ${group.verifier}`, kept.kept < kept.groups ? ` · ${kept.kept} of ${kept.groups} groups of this step are here` : ''),
        el('div', { class: 'question' }, verbatim(group.question, PLAINLY)),
        el('p', { class: 'reference' }, 'reference answer ', el('b', {}, verbatim(group.answer, PLAINLY))),
        el('details', {}, el('summary', {}, 'prompt, as the model saw it'), el('pre', {}, verbatim(group.prompt, PLAINLY)))),
      el('div', { class: 'marks' },
        el('label', {}, this.showWords, ' reflective words'),
        el('label', {}, this.showSpaces, ' spaces and line ends'),
        el('span', {}, el('i', { class: 'think' }, 'thought'), ' ', el('i', { class: 'answer' }, 'answer'))),
      el('div', { class: 'cards' }, ...group.rollouts.map((rollout) => this.card(rollout, options))));
  }

  card(rollout, options) {
    const matches = this.matches(rollout);
    const text = el('pre', { dir: 'ltr', tabIndex: 0 }, verbatim(rollout.text, options));
    const head = el('div', { class: 'cardhead' },
      el('b', { class: rollout.verdict }, `${VERDICTS[rollout.verdict]} ${rollout.verdict}`),
      el('span', { class: 'tokens' }, plural(rollout.tokens, 'token'), rollout.finish === 'length' ? el('em', { title: 'It reached the limit of tokens' }, ' cut') : null));
    const rows = [
      ['reward', said(rollout.reward)],
      ...(Object.keys(rollout.parts).length ? [['parts', partsOf(rollout)]] : []),
      ['advantage', rollout.advantage === null ? '– (not in the loss)' : typeof rollout.advantage === 'number' ? signed(Number(rollout.advantage.toFixed(3))) : rollout.advantage],
      ['answer', rollout.answer === null ? '–' : el('code', {}, verbatim(rollout.answer, PLAINLY))],
      ...(rollout.reason ? [['because', verbatim(rollout.reason, PLAINLY)]] : []),
    ];
    const list = el('dl', {}, ...rows.flatMap(([term, value]) => [el('dt', {}, term), el('dd', {}, value)]));
    return el('article', { class: `card ${rollout.verdict}${matches ? '' : ' dim'}` }, head, list,
      rollout.text === '' ? el('p', { class: 'note' }, '(empty)') : text);
  }

  /** Count the matching completions of every embedded step; a bar each, to be clicked. */
  async searchAll() {
    this.strip.replaceChildren(el('p', { class: 'note' }, 'counting …'));
    const [find, verdict] = [this.find, this.verdict];
    const shares = [];
    for (const step of this.steps) {
      const rollouts = (await this.load(step)).flatMap((group) => group.rollouts);
      if (find !== this.find || verdict !== this.verdict) return;
      shares.push([rollouts.filter((rollout) => this.matches(rollout)).length, rollouts.length]);
    }
    const most = Math.max(...shares.map(([n, all]) => n / all)) || 1;
    this.strip.replaceChildren(
      el('p', { class: 'note' }, `${plural(shares.reduce((sum, [n]) => sum + n, 0), 'completion')} in ${plural(this.steps.length, 'step')}; highest: ${percent(most)} of a step. Each bar is a step.`),
      el('div', { class: 'bars' }, ...shares.map(([n, all], i) => {
        const bar = el('button', { type: 'button', title: `step ${this.steps[i]}: ${n} of ${all}`, 'aria-label': `step ${this.steps[i]}: ${n} of ${all}`, onclick: () => this.show(i) }, el('i'));
        bar.firstChild.style.height = `${(100 * n) / all / most}%`;
        return bar;
      })));
  }
}

/** Length of the whole words that all questions begin with; 0 where that is too short to leave out. */
function commonWords(questions) {
  let length = questions.length > 1 ? questions[0].length : 0;
  for (const question of questions) {
    while (!question.startsWith(questions[0].slice(0, length))) length -= 1;
  }
  length = questions[0]?.lastIndexOf(' ', length - 1) + 1 || 0;
  return length > 16 ? length : 0;
}

function figuresOf(group) {
  const correct = group.rollouts.filter((rollout) => rollout.verdict === 'correct').length;
  const tokens = group.rollouts.reduce((sum, rollout) => sum + rollout.tokens, 0) / Math.max(1, group.rollouts.length);
  return { correct, tokens, rate: correct / Math.max(1, group.rollouts.length) };
}

function said(value) {
  return value === null ? 'none' : typeof value === 'number' ? shown(value) : value;
}

function partsOf(rollout) {
  return Object.entries(rollout.parts).map(([name, value]) => `${name} ${said(value)}`).join(', ');
}
