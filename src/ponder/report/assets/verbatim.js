// A completion as it really is: every character stays in the text, odd ones get a visible label.

const THINK = 1, ANSWER = 2, TAG = 4, WORD = 8, HIT = 16, ODD = 32, SPACE = 64;
const CLASSES = [[THINK, 'think'], [ANSWER, 'answer'], [TAG, 'tag'], [WORD, 'word'], [HIT, 'hit'], [ODD, 'odd'], [SPACE, 'space']];
// Control, format, private-use, unassigned and lone surrogate characters, separators other than
// the plain space, and the replacement character. Newline and tab are ordinary.
const ODD_CHARACTER = /(?![\n\t])[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\uFFFD]|(?! )\p{Zs}/gu;

function escapeRegExp(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function flag(flags, text, pattern, bit) {
  for (const match of text.matchAll(pattern)) {
    if (match[0].length === 0) continue;
    for (let i = 0; i < match[0].length; i += 1) flags[match.index + i] |= bit;
  }
}

/** Mark the thought and the answer, tags included; what is never closed runs to the end. */
function flagParts(flags, text) {
  let [part, from] = [0, 0];
  const fill = (to) => { for (let i = from; i < to; i += 1) flags[i] |= part; };
  for (const match of text.matchAll(/<(\/?)(think|answer)>/g)) {
    const [end, bit] = [match.index + match[0].length, match[2] === 'think' ? THINK : ANSWER];
    for (let i = match.index; i < end; i += 1) flags[i] |= TAG | bit;
    if (match[1]) {
      if (part === 0 && bit === THINK && !text.slice(0, match.index).includes('<think>')) part = THINK;
      if (part === bit) fill(match.index);
      part = 0;
    } else {
      fill(match.index);
      part = bit;
    }
    from = end;
  }
  fill(text.length);
}

const CONTROLS = 'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(' ');

const codePoint = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;

/** options: {words: RegExp|null, find: string, spaces: boolean} -> a fragment with all of `text`. */
function verbatim(text, options) {
  const flags = new Uint8Array(text.length);
  flagParts(flags, text);
  if (options.words) flag(flags, text, options.words, WORD);
  if (options.find) flag(flags, text, new RegExp(escapeRegExp(options.find), 'gi'), HIT);
  flag(flags, text, ODD_CHARACTER, ODD);
  if (options.spaces) flag(flags, text, /[ \t\n]/g, SPACE);
  const fragment = document.createDocumentFragment();
  for (let start = 0, end; start < text.length; start = end) {
    const alone = flags[start] & (ODD | SPACE);
    end = start + (alone ? String.fromCodePoint(text.codePointAt(start)).length : 1);
    while (!alone && end < text.length && flags[end] === flags[start]) end += 1;
    fragment.append(piece(text.slice(start, end), flags[start]));
  }
  return fragment;
}

function piece(text, bits) {
  if (bits === 0) return document.createTextNode(text);
  const span = el('span', { class: CLASSES.filter(([bit]) => bits & bit).map(([, name]) => name).join(' ') }, text);
  if (bits & ODD) {
    span.dataset.show = CONTROLS[text.codePointAt(0)] ?? codePoint(text);
    span.title = `character ${codePoint(text)}`;
  } else if (bits & SPACE) span.dataset.show = { ' ': '·', '\t': '→', '\n': '↵' }[text];
  return span;
}
