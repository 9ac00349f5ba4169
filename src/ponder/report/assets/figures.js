// Which curves the page has, and what to look for in them.

const STORY = [
  {
    title: 'Accuracy',
    note: 'Share of completions whose answer is right: those it trains on, and those of held-out problems (± standard error). The R1 paper plots the latter for AIME.',
    percent: true, range: [0, 1], height: 260,
    series: [
      ['rollout/pass_rate', 'training pass rate', 'blue'],
      ['eval/pass@1', 'held-out pass@1', 'ink', { dots: true, error: 'eval/stderr' }],
    ],
  },
  {
    title: 'Reasoning accuracy against preference reward',
    note: 'Both between 0 and 1: accuracy of reasoning problems, the reward models’ mean scores of general ones. A reward that rises while accuracy falls is hacked: the R1 paper saw that, and an alarm ends a run that does it.',
    percent: true, range: [0, 1], height: 260, needs: /^preference\/\w+_mean$/,
    series: [
      ['rollout/pass_rate', 'reasoning accuracy', 'blue'],
      ['preference/helpful_mean', 'helpful reward', 'gold'],
      ['preference/safety_mean', 'safety reward', 'violet'],
      ['eval/pass@1', 'held-out accuracy', 'ink', { dots: true, error: 'eval/stderr' }],
    ],
  },
  {
    title: 'Language of the thoughts',
    note: 'Share of a thought’s words that are in the language of the question (mean), thoughts that mix scripts, and thoughts without a word in that language.',
    percent: true, range: [0, 1], height: 260,
    series: [
      ['language/consistency', 'consistency', 'green'],
      ['language/mixed_share', 'mixed', 'gold'],
      ['language/foreign_share', 'in another language', 'red'],
    ],
  },
  {
    title: 'Length',
    note: 'Mean tokens of a completion. R1-Zero’s grew on its own from hundreds to thousands; wrong answers that grow faster than correct ones are a warning.',
    height: 260,
    series: [
      ['rollout/mean_tokens', 'all', 'blue'],
      ['rollout/mean_tokens_correct', 'correct', 'green'],
      ['rollout/mean_tokens_wrong', 'wrong', 'red'],
      ['eval/mean_tokens', 'held-out', 'ink', { dots: true }],
    ],
  },
  {
    title: 'Reflective words per completion',
    note: 'The ten words that the R1 paper counts (appendix C.2). Dashed: the level at the start; ×3 is three times that level.',
    baseline: true,
    series: [
      ['text/reflective_words_per_completion', 'training', 'violet'],
      ['eval/reflective_words_per_completion', 'held-out', 'ink', { dots: true }],
    ],
  },
  {
    title: 'Reflective words per 1,000 tokens',
    note: 'The same count with length taken out: does it reflect more, or only write more?',
    baseline: true,
    series: [['text/reflective_words_per_1k_tokens', 'training', 'violet']],
  },
  {
    title: 'Completions that reflect',
    note: 'Share of completions with at least one of the ten words.',
    percent: true, range: [0, 1],
    series: [['text/reflective_share', 'training', 'violet'], ['eval/reflective_share', 'held-out', 'ink', { dots: true }]],
  },
  {
    title: 'Ways of thinking',
    note: 'Told apart by rule: checks = a reflective word; steps = no such word, but two or more equals signs; direct = the rest. Shares of the completions of a step.',
    percent: true, range: [0, 1],
    series: [['style/direct_share', 'direct', 'grey'], ['style/steps_share', 'steps', 'gold'], ['style/checks_share', 'checks', 'violet']],
  },
  {
    title: 'Accuracy by way of thinking',
    note: 'If checks are not clearly above steps, reinforcement will sharpen the steps and drop the checks.',
    percent: true, range: [0, 1],
    series: [['style/direct_accuracy', 'direct', 'grey'], ['style/steps_accuracy', 'steps', 'gold'], ['style/checks_accuracy', 'checks', 'violet']],
  },
  {
    title: 'Does reflecting go with being right?',
    note: 'Pass rate of the completions with a reflective word and of those without (counted from the rollouts in this file).',
    percent: true, range: [0, 1],
    series: [['derived/pass_reflective', 'reflects', 'violet'], ['derived/pass_plain', 'does not', 'grey']],
  },
];

const HEALTH = [
  ['Learning', [
    { title: 'Distance to the teacher', note: 'Of a distillation on the student’s own samples: KL(student || teacher), nats per token.',
      series: [['distil/reverse_kl', 'reverse KL', 'blue']] },
    { title: 'Agreement with the teacher', note: 'Share of tokens at which both models have the same most probable one.', percent: true, range: [0, 1],
      series: [['distil/agreement', 'same first choice', 'green']] },
    { title: 'Entropy', note: 'Nats per token. Near 0, groups become equal and learning stops.',
      series: [['policy/entropy', 'policy', 'blue'], ['rollout/entropy', 'sampled', 'grey', { dashed: true }]] },
    { title: 'Groups without a signal', note: 'A group whose rewards are all equal teaches nothing.', percent: true, range: [0, 1],
      series: [['rollout/zero_variance_fraction', 'zero variance', 'ink'], ['rollout/solve_all_fraction', 'all correct', 'green'], ['rollout/solve_none_fraction', 'none correct', 'red']] },
    { title: 'Reward and its parts', note: 'Mean over rollouts; parts unweighted.',
      series: [['reward/mean', 'reward', 'ink'], ['reward/accuracy', 'accuracy', 'green'], ['reward/format', 'format', 'blue'], ['reward/overlong', 'overlong', 'red'], ['reward/random', 'random', 'gold']], rest: /^reward\/(.+)$/ },
    { title: 'Pass rate by source', note: 'A step has few problems of a rare source: its curve is rough.', percent: true, range: [0, 1], atLeast: 2,
      series: [], rest: /^source\/(.+)$/ },
    { title: 'Cut, unparsable, errors', note: 'Cut at the token limit; without an answer that can be read; our own verifier errors.', percent: true,
      series: [['rollout/truncated_fraction', 'cut', 'gold'], ['rollout/unparsable_fraction', 'unparsable', 'red'], ['rollout/error_fraction', 'error', 'ink']] },
    { title: 'Longest completion', note: 'Tokens.', series: [['rollout/max_tokens', 'longest', 'blue']] },
    { title: 'Strict format, held-out', note: 'Share of held-out completions.', percent: true, range: [0, 1],
      series: [['eval/format', 'format', 'ink', { dots: true }]] },
  ]],
  ['Domains and languages', [
    { title: 'Pass rate by domain', note: 'Of reasoning problems; nobody says what is right of the others.', percent: true, range: [0, 1], atLeast: 2,
      series: [], rest: /^domain\/(.+)_pass_rate$/ },
    { title: 'Reward by domain', note: 'Mean over rollouts, weighted as the run is rewarded.', atLeast: 2, series: [], rest: /^domain\/(.+)_reward$/ },
    { title: 'Tokens by domain', note: 'Mean of a completion.', atLeast: 2, series: [], rest: /^domain\/(.+)_tokens$/ },
    { title: 'Share of each domain', note: 'Of the problems of a step.', percent: true, range: [0, 1], atLeast: 2, series: [], rest: /^domain\/(.+)_share$/ },
    { title: 'Accuracy by language', note: 'By the language of the question.', percent: true, range: [0, 1], atLeast: 2,
      series: [], rest: /^language\/accuracy_(.+)$/ },
    { title: 'Consistency by language', note: 'Share of a thought’s words in the language of its question.', percent: true, range: [0, 1], atLeast: 2,
      series: [], rest: /^language\/consistency_(.+)$/ },
  ]],
  ['Optimisation', [
    { title: 'Loss', series: [['loss/total', 'total', 'ink'], ['loss/policy', 'policy', 'blue', { dashed: true }], ['eval/loss', 'held-out', 'green', { dots: true }]] },
    { title: 'KL to the reference', note: 'k3 estimate, nats per token.', series: [['loss/kl', 'KL', 'violet']] },
    { title: 'Gradient norm', note: 'Before clipping. A spike is worth a look at that step’s rollouts.', series: [['policy/grad_norm', 'norm', 'blue']] },
    { title: 'Clipped tokens', note: 'Share at the lower and the upper bound of the ratio; 0 with one update a step.', percent: true,
      series: [['loss/clip_low_fraction', 'low', 'red'], ['loss/clip_high_fraction', 'high', 'green']] },
    { title: 'Largest ratio', note: 'Policy now against policy at rollout time; 1 before the first update.', series: [['loss/ratio_max', 'ratio', 'gold']] },
    { title: 'Learning rate', series: [['policy/learning_rate', 'learning rate', 'grey']] },
  ]],
  ['Sampler against trainer', [
    { title: 'Mismatch of log-probabilities', note: '|sampler − trainer|, nats; logarithmic. It should stay at rounding error.', log: true,
      series: [['policy/mismatch_mean', 'mean', 'blue'], ['policy/mismatch_max', 'largest', 'red']] },
    { title: 'Importance weight', note: 'Mean; 1 where both agree.', series: [['loss/importance_mean', 'mean', 'blue']] },
    { title: 'Capped importance weights', percent: true, series: [['loss/importance_capped_fraction', 'capped', 'red']] },
  ]],
  ['Speed', [
    { title: 'Tokens per second', series: [['speed/rollout_tokens_per_second', 'rollout', 'blue'], ['speed/update_tokens_per_second', 'update', 'gold']] },
    { title: 'Seconds per step', series: [['time/step_seconds', 'step', 'ink'], ['time/rollout_seconds', 'rollout', 'blue'], ['time/update_seconds', 'update', 'gold']] },
  ]],
];

/** [key, label, tone, options] with its data, or nothing where the run has none. */
function withData([key, label, tone, options = {}], series) {
  if (!series[key]) return [];
  const [steps, values] = series[key];
  const found = { label, tone, steps, values, dots: options.dots, dashed: options.dashed };
  if (options.error && series[options.error]) {
    const errors = new Map(series[options.error][0].map((step, i) => [step, series[options.error][1][i]]));
    found.errors = steps.map((step) => errors.get(step) ?? 0);
  }
  return [found];
}

const TONES = ['blue', 'green', 'gold', 'violet', 'red', 'ink', 'grey'];

/** The curves of a definition: those it names, then all others whose key matches `rest`, which says their label. */
function curvesOf(definition, series) {
  const named = definition.series.map(([key]) => key);
  const others = Object.keys(series).sort().filter((key) => definition.rest?.test(key) && !named.includes(key));
  const free = TONES.filter((tone) => !definition.series.some(([key, , used]) => series[key] && used === tone));
  const tones = free.length ? free : TONES;
  return [...definition.series, ...others.map((key, i) => [key, definition.rest.exec(key)[1], tones[i % tones.length]])];
}

/** Chart a definition if the run has enough of its curves, and what it `needs`; a log chart needs a positive value. */
function figure(host, definition, series) {
  if (definition.needs && !Object.keys(series).some((key) => definition.needs.test(key))) return false;
  const found = curvesOf(definition, series).flatMap((one) => withData(one, series));
  const drawn = definition.log ? found.filter((one) => one.values.some((value) => value > 0)) : found;
  if (drawn.length < (definition.atLeast ?? 1)) return false;
  new Chart(host, { ...definition, series: drawn });
  return true;
}

function storyFigures(host, series, words) {
  const grid = el('div', { class: 'grid two' });
  host.append(grid);
  const drawn = STORY.map((definition) => figure(grid, definition, series)).some(Boolean);
  host.closest('section').hidden = !drawn;
  wordFigures(host, series, words);
}

/** One small chart per reflective word, all on one scale unless asked otherwise. */
function wordFigures(host, series, words) {
  const curve = (word) => series[`text/${word}_per_1k_tokens`];
  const logged = words.filter(curve);
  const known = logged.filter((word) => curve(word)[1].some((value) => value > 0));
  if (logged.length === 0) return;
  const high = Math.max(0, ...known.map((word) => extent(curve(word)[1])[1]));
  const own = el('input', { type: 'checkbox' });
  const grid = el('div', { class: 'grid five' });
  host.append(
    el('div', { class: 'subhead' }, el('h3', {}, 'Word by word'), el('p', {}, 'Per 1,000 tokens; dashed: the level at the start.'),
      el('label', {}, own, ' each on its own scale')), grid);
  const charts = known.map((word) => {
    const [steps, values] = curve(word);
    const spec = { title: word, small: true, height: 88, baseline: true, range: [0, high], series: [{ label: word, tone: 'violet', steps, values }] };
    return new Chart(grid, spec);
  });
  const absent = logged.filter((word) => !known.includes(word));
  if (absent.length > 0) host.append(el('p', { class: 'note absent' }, `Never written: ${absent.join(', ')}.`));
  own.addEventListener('change', () => charts.forEach((chart) => {
    chart.spec.range = own.checked ? undefined : [0, high];
    chart.draw();
  }));
}

function healthFigures(host, series) {
  let drawn = false;
  for (const [title, definitions] of HEALTH) {
    const grid = el('div', { class: 'grid three' });
    if (!definitions.map((one) => figure(grid, { height: 150, ...one }, series)).some(Boolean)) continue;
    host.append(el('h4', {}, title), grid);
    drawn = true;
  }
  const all = [...STORY, ...HEALTH.flatMap(([, definitions]) => definitions)];
  const listed = new Set(all.flatMap((one) => one.series.map(([key]) => key)));
  const isOther = (key) => !listed.has(key) && !all.some((one) => one.rest?.test(key));
  const other = Object.keys(series).filter((key) => isOther(key) && !/^(eval|text|derived)\//.test(key)).sort();
  if (other.length === 0) {
    if (!drawn) host.append(el('p', { class: 'note' }, 'No step has been logged yet.'));
    return;
  }
  const grid = el('div', { class: 'grid three' });
  other.forEach((key) => figure(grid, { title: key, height: 130, series: [[key, 'value', 'grey']] }, series));
  host.append(el('details', { open: !drawn }, el('summary', {}, `${plural(other.length, 'other metric')}`), grid));
}
