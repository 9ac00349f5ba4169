"""The command line: parse, then import, then call. `ponder --help` never imports torch."""
