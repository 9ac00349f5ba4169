// A line chart in SVG. All charts of the page share one crosshair and one smoothing window.

const shared = { charts: [], step: null, window: 0, maxStep: 1, onPick: () => {} };

function pointAt(step) {
  if (shared.step === step) return;
  shared.step = step;
  requestAnimationFrame(() => shared.charts.forEach((chart) => chart.point()));
}

function setSmoothing(window) {
  shared.window = window;
  shared.charts.forEach((chart) => chart.draw());
}

/** Centred moving mean over `window` points; at the ends over those that are there. */
function smooth(values, window) {
  const half = Math.floor(window / 2);
  if (half === 0) return values;
  const sums = [0];
  for (const value of values) sums.push(sums[sums.length - 1] + value);
  return values.map((_, i) => {
    const [from, to] = [Math.max(0, i - half), Math.min(values.length, i + half + 1)];
    return (sums[to] - sums[from]) / (to - from);
  });
}

/** Round numbers that cover [low, high]: about `count` of them. */
function niceTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
  const ticks = [];
  for (let i = Math.ceil(low / unit - 1e-9); i * unit <= high + unit * 1e-9; i += 1) {
    ticks.push(Number((i * unit).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1) ticks.push(10 ** e);
  const every = Math.ceil(ticks.length / 5);
  return ticks.filter((_, i) => i % every === 0);
}

/**
 * spec: {title, note, series: [{label, tone, steps, values, errors?, dots?, dashed?}],
 *        percent?, log?, range?: [low, high], height?, baseline?, small?}
 * `dots`: measured now and then (evaluations): points with error bars, joined by a thin line.
 * `baseline`: a dashed line at the first value of the first series, and "×3.2" in the readout.
 */
class Chart {
  constructor(host, spec) {
    this.spec = spec;
    this.number = spec.percent ? percent : shown;
    this.plot = svg('svg', { role: 'img', tabindex: '0', 'aria-label': this.summary() });
    this.legend = el('div', { class: 'legend' });
    this.readouts = spec.series.map((series) => {
      const value = el('b');
      this.legend.append(
        el('span', { class: `key ${series.tone}${series.dots ? ' dots' : ''}${series.dashed ? ' dashed' : ''}` },
          ...(spec.small ? [] : [el('i'), `${series.label} `]), value));
      return value;
    });
    host.append(
      el('figure', { class: spec.small ? 'small' : '' },
        el('figcaption', {}, el('h3', {}, spec.title), spec.note ? el('p', {}, spec.note) : null),
        this.legend, this.plot));
    this.listen();
    shared.charts.push(this);
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  summary() {
    return `${this.spec.title}. ` + this.spec.series.map((series) => {
      const last = series.values.length - 1;
      return `${series.label}: ${this.number(series.values[0])} at step ${series.steps[0]}, ` +
        `${this.number(series.values[last])} at step ${series.steps[last]}`;
    }).join('; ');
  }

  listen() {
    const stepOf = (event) => {
      const box = this.plot.getBoundingClientRect();
      const share = (event.clientX - box.left - this.left) / (this.width - this.left - this.right);
      return Math.round(clamp(share, 0, 1) * shared.maxStep);
    };
    this.plot.addEventListener('pointermove', (event) => pointAt(stepOf(event)));
    this.plot.addEventListener('pointerdown', (event) => pointAt(stepOf(event)));
    this.plot.addEventListener('pointerleave', () => pointAt(null));
    this.plot.addEventListener('blur', () => pointAt(null));
    this.plot.addEventListener('click', (event) => {
      if (event.pointerType !== 'touch') shared.onPick(stepOf(event));
    });
    this.plot.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (move) {
        pointAt(clamp((shared.step ?? shared.maxStep) + move, 0, shared.maxStep));
        event.preventDefault();
      } else if (event.key === 'Enter' && shared.step !== null) shared.onPick(shared.step);
    });
  }

  draw() {
    const width = this.plot.clientWidth;
    if (width === 0) return;
    const small = this.spec.small;
    this.width = width;
    this.height = this.spec.height ?? (small ? 96 : 210);
    this.scale();
    const labels = this.ticks.map((tick) => this.tickText(tick));
    this.left = Math.max(small ? 28 : 46, 10 + 6.6 * Math.max(...labels.map((label) => label.length)));
    this.right = 12;
    this.plot.setAttribute('viewBox', `0 0 ${width} ${this.height}`);
    this.plot.setAttribute('height', this.height);
    this.plot.replaceChildren(...this.grid(labels), ...this.spec.series.flatMap((series) => this.curve(series)));
    this.cross = svg('line', { class: 'cross', y1: this.top, y2: this.bottom, visibility: 'hidden' });
    this.marks = this.spec.series.map((series) => svg('circle', { class: `mark ${series.tone}`, r: 3.5, visibility: 'hidden' }));
    this.flag = svg('text', { class: 'flag', y: this.bottom + 16, 'text-anchor': 'middle', visibility: 'hidden' });
    this.plot.append(this.cross, ...this.marks, this.flag);
    this.point();
  }

  /** Choose the y range and its ticks. */
  scale() {
    this.top = 8;
    this.bottom = this.height - 22;
    const values = this.spec.series.flatMap((series) => {
      if (series.errors) return series.values.flatMap((v, i) => [v - series.errors[i], v + series.errors[i]]);
      return series.values;
    });
    const count = this.spec.small ? 3 : 5;
    if (this.spec.log) {
      const positive = values.filter((value) => value > 0);
      this.low = positive.reduce((a, b) => Math.min(a, b), Infinity);
      this.high = positive.reduce((a, b) => Math.max(a, b), 0);
      this.ticks = logTicks(this.low, this.high);
      [this.low, this.high] = [Math.min(this.low, this.ticks[0]), Math.max(this.high, this.ticks[this.ticks.length - 1])];
      return;
    }
    let [low, high] = this.spec.range ?? [Math.min(0, ...extent(values)), Math.max(...extent(values))];
    if (high <= low) high = low + (Math.abs(low) || 1);
    this.ticks = niceTicks(low, high, count);
    const unit = this.ticks.length > 1 ? this.ticks[1] - this.ticks[0] : high - low;
    if (!this.spec.range) {
      if (low < this.ticks[0]) this.ticks.unshift(this.ticks[0] - unit);
      if (high > this.ticks[this.ticks.length - 1] + unit * 0.02) this.ticks.push(this.ticks[this.ticks.length - 1] + unit);
      [low, high] = [this.ticks[0], Math.max(high, this.ticks[this.ticks.length - 1])];
    }
    [this.low, this.high] = [low, high];
  }

  tickText(tick) {
    if (this.spec.percent) return `${Number((100 * tick).toPrecision(3))}%`;
    if (this.spec.log && tick < 0.01) return `1e−${Math.round(-Math.log10(tick))}`;
    return shown(tick);
  }

  x(step) {
    return this.left + (step / shared.maxStep) * (this.width - this.left - this.right);
  }

  y(value) {
    const share = this.spec.log
      ? Math.log(Math.max(value, this.low) / this.low) / Math.log(this.high / this.low)
      : (value - this.low) / (this.high - this.low);
    return this.bottom - share * (this.bottom - this.top);
  }

  grid(labels) {
    const nodes = [];
    this.ticks.forEach((tick, i) => {
      const y = this.y(tick).toFixed(1);
      nodes.push(svg('line', { class: tick === 0 ? 'axis' : 'gridline', x1: this.left, x2: this.width - this.right, y1: y, y2: y }));
      nodes.push(svg('text', { class: 'tick', x: this.left - 7, y, dy: '0.32em', 'text-anchor': 'end' }, labels[i]));
    });
    const steps = this.spec.small ? [0] : niceTicks(0, shared.maxStep, Math.max(2, Math.floor(this.width / 110)));
    for (const step of steps.filter(Number.isInteger)) {
      const label = step === 0 ? 'step 0' : step.toLocaleString('en');
      const x = Math.min(this.x(step), this.width - 3.2 * label.length);
      const place = step === 0 ? { x: this.left - 3, 'text-anchor': 'start' } : { x, 'text-anchor': 'middle' };
      nodes.push(svg('text', { class: 'tick', y: this.bottom + 16, ...place }, label));
    }
    return nodes;
  }

  curve(series) {
    const tone = series.tone;
    const line = (values, kind) => {
      const points = series.steps.flatMap((step, i) =>
        this.spec.log && !(values[i] > 0) ? [] : [`${this.x(step).toFixed(1)},${this.y(values[i]).toFixed(1)}`]);
      return svg('polyline', { class: `${kind} ${tone}`, points: points.join(' ') });
    };
    if (series.dots) return [line(series.values, 'thin'), ...this.dots(series)];
    const nodes = [];
    if (this.spec.baseline && series === this.spec.series[0]) {
      const y = this.y(series.values[0]);
      nodes.push(svg('line', { class: 'baseline', x1: this.left, x2: this.width - this.right, y1: y, y2: y }));
    }
    if (shared.window > 1) nodes.push(line(series.values, 'raw'));
    nodes.push(line(smooth(series.values, shared.window), series.dashed ? 'line dashed' : 'line'));
    if (series.steps.length === 1) nodes.push(svg('circle', { class: `dot ${tone}`, cx: this.x(series.steps[0]), cy: this.y(series.values[0]), r: 3 }));
    return nodes;
  }

  dots(series) {
    const apart = (this.width - this.left) / series.steps.length;
    const [radius, cap] = [clamp(apart / 4, 1.2, 3.6), clamp(apart / 4, 0, 3)];
    return series.steps.flatMap((step, i) => {
      const [x, y] = [this.x(step), this.y(series.values[i])];
      const nodes = [svg('circle', { class: `dot ${series.tone}`, cx: x, cy: y, r: radius })];
      if (series.errors) {
        const [low, high] = [this.y(series.values[i] - series.errors[i]), this.y(series.values[i] + series.errors[i])];
        nodes.unshift(svg('path', { class: `errorbar ${series.tone}`, d: `M${x},${low}V${high}M${x - cap},${low}h${2 * cap}M${x - cap},${high}h${2 * cap}` }));
      }
      return nodes;
    });
  }

  /** Move the crosshair to the shared step and say the values there (or the last ones). */
  point() {
    if (!this.cross) return;
    const active = shared.step !== null;
    for (const node of [this.cross, this.flag]) node.setAttribute('visibility', active ? 'visible' : 'hidden');
    if (active) {
      for (const end of ['x1', 'x2']) this.cross.setAttribute(end, this.x(shared.step));
      this.flag.textContent = `step ${shared.step.toLocaleString('en')}`;
      this.flag.setAttribute('x', clamp(this.x(shared.step), this.left + 15, this.width - 26));
    }
    this.spec.series.forEach((series, n) => {
      const i = active ? nearest(series.steps, shared.step) : series.steps.length - 1;
      const value = series.values[i];
      const near = active && Math.abs(series.steps[i] - shared.step) <= 0.02 * shared.maxStep + 0.5;
      this.marks[n].setAttribute('visibility', near && !series.dots ? 'visible' : 'hidden');
      this.marks[n].setAttribute('cx', this.x(series.steps[i]));
      this.marks[n].setAttribute('cy', this.y(value));
      this.readouts[n].textContent = active && !near ? '–' : this.said(series, i, n);
    });
  }

  said(series, i, n) {
    const value = series.values[i];
    const error = series.errors ? ` ± ${Number((100 * series.errors[i]).toFixed(1))}` : '';
    const first = series.values[0];
    const factor = this.spec.baseline && n === 0 && first > 0 && i > 0 ? ` (×${Number((value / first).toPrecision(2))})` : '';
    return (error ? `${Number((100 * value).toFixed(1))}${error} %` : this.number(value)) + factor;
  }
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Index of the entry of an ascending list that is nearest to `step`. */
function nearest(steps, step) {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : low;
}
