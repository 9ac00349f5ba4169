// What the address after # holds, and the theme among it.

const THEMES = ['auto', 'light', 'dark'];

function readHash() {
  const text = location.hash.slice(1);
  return text.includes('=') ? new URLSearchParams(text) : new URLSearchParams();
}

/** Change some of the address without a new entry in the history and without scrolling. */
function writeHash(changes) {
  const parameters = readHash();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === '') parameters.delete(key);
    else parameters.set(key, value);
  }
  history.replaceState(null, '', `#${parameters}`);
}

function setTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.getElementById('theme').textContent = `theme: ${theme}`;
}

function startTheme() {
  const button = document.getElementById('theme');
  let theme = THEMES.includes(readHash().get('theme')) ? readHash().get('theme') : 'auto';
  setTheme(theme);
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    setTheme(theme);
    writeHash({ theme: theme === 'auto' ? null : theme });
  });
}
