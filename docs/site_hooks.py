"""Hooks of the site: the README is a page of it, and so is the HTTP API; links out of `docs` are names.

Nothing of the site needs a network: no fonts, no scripts of others.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand elsewhere or are made."""
    for name, text in (("readme.md", (ROOT / "README.md").read_text()), ("routes.md", routes())):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as they are good in the repository, made good in the site."""
    folder = PurePosixPath("." if page.file.src_uri == "readme.md" else f"docs/{page.file.src_uri}").parent
    if page.file.src_uri == "readme.md":
        folder = PurePosixPath(".")
    here = PurePosixPath(page.file.src_uri).parent
    return _LINK.sub(lambda found: _link(found, folder, here), markdown)


def _link(found: re.Match[str], folder: PurePosixPath, here: PurePosixPath) -> str:
    text, target, anchor = found[1], found[2], found[3] or ""
    if "://" in target or target.startswith("mailto:"):
        return found[0]
    path = _normal(folder / target)
    if path == "README.md":
        path = "docs/readme.md"
    if path.startswith("docs/") and path.endswith(".md"):
        up = "../" * len(here.parts)
        return f"[{text}]({up}{path.removeprefix('docs/')}{anchor})"
    return text if text.startswith("`") else f"`{path}`" if "/" in text else f"{text} (`{path}`)"


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def routes() -> str:
    """The OpenAPI document as a page."""
    from hub.http.openapi import document

    spec = document("/ws")
    lines = ["# Routes of the HTTP API", "", "Made from `/openapi.json` of a running hub.", ""]
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            lines += [f"## {method.upper()} {path}", "", operation["summary"] + ".", ""]
            lines += _fields([_parameter(each) for each in operation.get("parameters", [])])
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                lines += _fields(_properties(spec, body["schema"]))
                if "example" in body:
                    lines += ["```json", json.dumps(body["example"], ensure_ascii=False), "```", ""]
            answers = ", ".join(
                f"{status} {each['description']}" for status, each in operation["responses"].items()
            )
            lines += [f"Answers: {answers}.", ""]
    return "\n".join(lines)


def _parameter(each: dict[str, Any]) -> tuple[str, str, str]:
    schema = each["schema"]
    told = each.get("description") or schema.get("description", "")
    return each["name"], _type(schema), told + ("" if each.get("required") else " (optional)")


def _properties(spec: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    needed = schema.get("required", ())
    found = []
    for name, each in schema.get("properties", {}).items():
        inner = next((part for part in each.get("anyOf", ()) if part.get("type") != "null"), each)
        told = inner.get("description", each.get("description", ""))
        found.append((name, _type(inner), told + ("" if name in needed else " (optional)")))
    return found


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("type", "any"))


def _fields(rows: list[tuple[str, str, str]]) -> list[str]:
    if not rows:
        return []
    table = [f"| `{name}` | {kind} | {told.replace('|', chr(92) + '|')} |" for name, kind, told in rows]
    return ["| | | |", "|---|---|---|", *table, ""]
