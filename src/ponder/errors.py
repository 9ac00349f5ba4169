"""The kinds of error: the user's, which says what to change, ours, which is a bug, and a run's."""

from __future__ import annotations


class PonderError(Exception):
    """A mistake that the user can mend: it names the field, its value and the fix.

    The command line prints it as one line and exits with code 2, without a traceback.
    """

    def __init__(self, field: str, value: object, fix: str) -> None:
        self.field = field
        self.value = value
        self.fix = fix
        shown = repr(value)
        if len(shown) > 200:
            shown = shown[:197] + "..."
        super().__init__(f"{field} = {shown}: {fix}")


class GuardError(Exception):
    """A guard of a run found that the run is broken (a wrong ratio, a NaN, a stale generator).

    The message says which invariant failed, by how much, and where to look.
    """


class AlarmError(Exception):
    """An alarm ended the run: nothing is broken, but what it learns is not what was meant.

    All that was done is kept; the message says what was seen and what can be done now.
    """
