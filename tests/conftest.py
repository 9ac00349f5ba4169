"""For the whole suite."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts its background jobs with Ctrl-C ignored, and what they start inherits that;
    # the tests that interrupt a process of their own need it heard.
    signal.signal(signal.SIGINT, signal.default_int_handler)
