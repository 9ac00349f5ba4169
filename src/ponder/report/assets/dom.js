// Small tools: elements, numbers as text. Text from a run only ever becomes a text node.

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element; `properties` are set as properties, but `class` and `data-*` as attributes. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === 'class' || key.includes('-')) node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const plural = (n, word) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;

/** A number with about three significant digits. */
function shown(value) {
  const size = Math.abs(value);
  const text =
    value === 0 ? '0'
    : size < 1e-3 ? value.toExponential(1).replace('e-', 'e−')
    : size < 100 ? String(Number(value.toPrecision(3)))
    : size < 1e4 ? Math.round(value).toLocaleString('en')
    : size < 1e6 ? `${Number((value / 1e3).toPrecision(3))}k`
    : `${Number((value / 1e6).toPrecision(3))}M`;
  return text.replace(/^-/, '−');
}

const percent = (value) => `${Number((100 * value).toFixed(Math.abs(value) < 0.0995 ? 2 : 1))} %`;

const signed = (value) => (value > 0 ? '+' : '') + shown(value);
