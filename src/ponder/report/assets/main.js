// Starts the page. The address after # holds what is looked at: #theme=dark&step=12&problem=3.

const data = JSON.parse(document.getElementById('data').textContent);

/** Windows of 3, 5, 9, 17, ... points, up to about half of the run. */
function startSmoothing(numPoints) {
  const slider = document.getElementById('smooth');
  const now = document.getElementById('smooth-now');
  const most = Math.floor(Math.log2(Math.max(1, numPoints / 2)));
  if (most < 1) return;
  slider.max = most;
  slider.closest('label').hidden = false;
  const change = () => {
    const window = Number(slider.value) === 0 ? 0 : 2 ** Number(slider.value) + 1;
    now.textContent = window ? `${window} steps` : 'off';
    setSmoothing(window);
  };
  slider.addEventListener('input', change);
  slider.value = clamp(Math.floor(Math.log2(Math.max(1, numPoints / 25))), 0, most);
  change();
}

/** Curves that are counted from the embedded rollouts. */
function derive(series, steps) {
  const rate = (name) => {
    const known = steps.filter((one) => one[name][0] > 0);
    return known.length ? [known.map((one) => one.step), known.map((one) => one[name][1] / one[name][0])] : undefined;
  };
  const found = { 'derived/pass_reflective': rate('reflective'), 'derived/pass_plain': rate('plain') };
  return { ...series, ...Object.fromEntries(Object.entries(found).filter(([, curve]) => curve)) };
}

function start() {
  startTheme();
  const series = derive(data.series, data.rollouts.steps);
  const curves = Object.values(series);
  shared.maxStep = Math.max(1, ...curves.map(([steps]) => steps[steps.length - 1]));
  storyFigures(document.getElementById('story'), series, data.words);
  healthFigures(document.getElementById('health-charts'), series);
  startSmoothing(Math.max(0, ...curves.map(([steps]) => steps.length)));
  if (data.maxPoints) {
    document.getElementById('curves-note').append(` Curves are thinned to ${data.maxPoints.toLocaleString('en')} points.`);
  }
  const browser = new Browser(document.getElementById('browser'), data);
  const look = () => {
    const asked = readHash();
    if (asked.has('step')) browser.open(Number(asked.get('step')), asked);
  };
  shared.onPick = (step) => {
    browser.open(step, new URLSearchParams());
    document.getElementById('rollouts').scrollIntoView({ behavior: 'smooth' });
  };
  document.querySelectorAll('a.tostep').forEach((link) => link.addEventListener('click', (event) => {
    event.preventDefault();
    shared.onPick(Number(new URLSearchParams(link.hash.slice(1)).get('step')));
  }));
  window.addEventListener('hashchange', look);
  browser.open(Number(readHash().get('step') ?? data.rollouts.steps.at(-1)?.step ?? 0), readHash());
}

start();
