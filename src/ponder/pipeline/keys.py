"""The key of a stage: the hash of all that its outputs follow from, and what differs if two do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ponder.config.base import Config
from ponder.errors import PonderError
from ponder.pipeline.digests import digest_code, digest_path, digest_value
from ponder.pipeline.graph import Graph, Stage

CONFIG_CODE = "ponder.config"
"""The source of all defaults, which a key holds no values of."""
_MOST = 3
"""Differences that are told one by one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a key is the hash of: plain JSON data.

    ``inputs`` maps each input to what it is: ["zero.model", KEY of zero] or [path, digest].
    ``files`` and ``code`` map config keys and packages to digests. ``chosen`` is what of ``config``
    is not a default: that alone is hashed, so that a new version's new knob changes no key where
    older code is taken for granted. (A changed default is a change of code: that of the configs.)
    """

    kind: str
    config: dict[str, Any]
    inputs: dict[str, list[list[str]]]
    files: dict[str, str]
    code: dict[str, str]
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        parts = asdict(self)
        del parts["config"]
        return digest_value(parts)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Parts:
        """Read ``asdict``."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})


def parts_of(stage: Stage, keys: Mapping[str, str], code: dict[str, str] | None = None) -> Parts:
    """The parts of a stage's key; ``keys`` has those of the stages it needs.

    ``code``: take the source to be this version.

    Raises:
        PonderError: a file that the stage reads is not there.
    """
    config, chosen = _settings(stage), _settings(stage, exclude_defaults=True)
    inputs = {
        name: [
            [str(ref), _digest_input(stage, name, ref.path) if ref.path else keys[ref.stage]]
            for ref in refs
        ]
        for name, refs in stage.inputs.items()
    }
    files = {
        key: _digest_field(f"stages.{stage.name}.{key}", path)
        for key, path in files_of(stage).items()
    }
    for key in files:  # they count by their content, not by where they lie
        for table, last in (_place(config, key), _place(chosen, key)):
            if last in table:
                table[last] = "(a file)"
    code = digest_code((CONFIG_CODE, *stage.kind.code)) if code is None else code
    return Parts(stage.kind_name, config, inputs, files, code, chosen)


def all_parts(graph: Graph, codes: Mapping[str, dict[str, str]] | None = None) -> dict[str, Parts]:
    """The parts of every stage by name; ``codes`` has versions of source to take for granted."""
    found: dict[str, Parts] = {}
    keys: dict[str, str] = {}
    for stage in graph:
        found[stage.name] = parts_of(stage, keys, (codes or {}).get(stage.name))
        keys[stage.name] = found[stage.name].key
    return found


def files_of(stage: Stage) -> dict[str, Path]:
    """The files that the config names, by config key."""
    named = {key: path for key, path in _paths(stage.config) if key not in stage.kind.unhashed}
    return named | dict(stage.kind.files(stage.config))


def check_unchanged(stage: Stage, parts: Parts) -> None:
    """The stage's files must be what they were when its key was made. PonderError if not."""
    for key, path in files_of(stage).items():
        _compare(f"stages.{stage.name}.{key}", path, parts.files[key])
    for name, refs in stage.inputs.items():
        for ref, (_, digest) in zip(refs, parts.inputs[name], strict=True):
            if ref.path:
                _compare(f"stages.{stage.name}.inputs.{name}", ref.path, digest)


def differences(old: Parts, new: Parts) -> list[str]:
    """What changed from ``old`` to ``new``, in words."""
    told = [f"kind {old.kind} -> {new.kind}"] if old.kind != new.kind else []
    told += list(_changes("", old.config, new.config))
    for name in sorted(old.inputs.keys() | new.inputs.keys()):
        if old.inputs.get(name) != new.inputs.get(name):
            told.append(f"input {name} changed")
    told += [f"file of {key} changed" for key in _unlike(old.files, new.files)]
    told += [f"code of {name} changed" for name in _unlike(old.code, new.code)]
    if len(told) > _MOST:
        told = [*told[: _MOST - 1], f"and {len(told) - _MOST + 1} more"]
    return told


def _settings(stage: Stage, exclude_defaults: bool = False) -> dict[str, Any]:
    """The config as plain data, without what changes no output."""
    told = stage.config.model_dump(mode="json", exclude_defaults=exclude_defaults)
    for key in stage.kind.unhashed:
        table, last = _place(told, key)
        table.pop(last, None)
    return told


def _place(config: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """The table that a dotted key stands in, or would; and the key's name there."""
    *parents, last = key.split(".")
    table: Any = config
    for name in parents:
        table = table[int(name)] if isinstance(table, list) else table.get(name, {})
    return (table if isinstance(table, dict) else {}), last


def _compare(field: str, path: Path, digest: str) -> None:
    if _digest_field(field, path) != digest:
        fix = (
            "this file changed while the pipeline ran; nothing that was done is lost: run again, "
            "and the stages that read it are done anew"
        )
        raise PonderError(field, str(path), fix)


def _digest_input(stage: Stage, name: str, path: Path) -> str:
    return _digest_field(f"stages.{stage.name}.inputs.{name}", path)


def _digest_field(field: str, path: Path) -> str:
    try:
        return digest_path(path)
    except PonderError as error:
        raise PonderError(field, str(path), error.fix) from error


def _paths(config: Config, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for name in type(config).model_fields:
        yield from _paths_in(getattr(config, name), prefix + name)


def _paths_in(value: Any, key: str) -> Iterator[tuple[str, Path]]:
    """Values of type Path, and text under a key "path" of a free table."""
    if isinstance(value, Config):
        yield from _paths(value, f"{key}.")
    elif isinstance(value, Path) or (isinstance(value, str) and key.endswith(".path")):
        yield key, Path(value).expanduser()
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths_in(item, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _paths_in(item, f"{key}.{number}")


def _changes(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(f"{prefix}{key}.", before, after)
        elif before != after:
            yield f"{prefix}{key} {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _unlike(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
