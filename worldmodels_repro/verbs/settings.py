"""``worldmodels settings``: every key with its type, its default and what it means."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

WIDTH = 96


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which settings to explain, and how."""
    parser.add_argument("section", nargs="?", metavar="SECTION",
                        help="a section, e.g. evolve, or a key, e.g. evolve.sigma (default: all)")
    parser.add_argument("--schema", action="store_true",
                        help="print the JSON schema of configs, for editors")


def run(section: str | None = None, schema: bool = False) -> None:
    """Print the settings, or their schema.

    Raises:
        UserError: there is no such section or key.
    """
    from worldmodels_repro.config import Config
    from worldmodels_repro.errors import UserError, did_you_mean

    whole = Config.model_json_schema()
    if schema:
        whole["properties"] = {"base": {"type": "string", "description": "Another config, whose "
                                        "settings hold where this one says nothing."},
                               **whole["properties"]}
        print(json.dumps(whole, indent=2))
        return
    rows = _rows(whole, Config().plain())
    if section is not None:
        rows, every = [row for row in rows if f"{row[0]}.".startswith(f"{section}.")], rows
        if not rows:
            sections = dict.fromkeys(key.partition(".")[0] for key, _, _, _ in every)
            hint = did_you_mean(section, [*sections, *(key for key, _, _, _ in every)])
            raise UserError(f"there is no setting {section}{hint or ';'} sections and keys are "
                            + ", ".join(sections))
    for key, kind, default, text in rows:
        print(f"{key} = {default}  ({kind})")
        print(textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    "))


def _rows(schema: dict[str, Any], defaults: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """(key, type, default, explanation) of every setting."""
    rows = []
    for name, field in schema["properties"].items():
        if "$ref" in field:
            inner = schema["$defs"][field["$ref"].rpartition("/")[2]]["properties"]
            rows += [(f"{name}.{key}", *_row(each, defaults[name][key]))
                     for key, each in inner.items()]
        else:
            rows.append((name, *_row(field, defaults[name])))
    return rows


def _row(field: dict[str, Any], default: Any) -> tuple[str, str, str]:
    return _kind(field), json.dumps(default), field.get("description", "")


def _kind(field: dict[str, Any]) -> str:
    """A JSON schema's type, in words."""
    if "anyOf" in field:
        return " or ".join(_kind(choice) for choice in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "prefixItems" in field:
        return "[" + ", ".join(_kind(item) for item in field["prefixItems"]) + "]"
    if "pattern" in field:
        return "path/to/file.py:NAME"
    if field["type"] == "array":
        return f"list of {_kind(field['items'])}"
    if field.get("additionalProperties") is True:
        return "mapping of settings"
    if field["type"] == "object":
        return f"({_kind(field['propertyNames'])}): {_kind(field['additionalProperties'])}"
    bounds = [f"{sign} {field[name]:g}" for name, sign in (
        ("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if name in field]
    return " ".join([field["type"], *bounds])
