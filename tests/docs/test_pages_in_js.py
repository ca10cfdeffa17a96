"""Every piece of JavaScript, JSX and TypeScript of the docs is held against the client's types, by the compiler."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from ..support.markdown import ROOT, Block
from .pages import before, every

BEFORE = [block for block in before() if block.kind == "js"]
PAGES = [*every("js", "jsx", "ts"), *every("html")]
LOOKS_AT = [*PAGES, *BEFORE]

CLIENT = ROOT / "client_js"
TSC = CLIENT / "node_modules" / ".bin" / "tsc"

# What the pages leave to their reader, and packages that are not installed here. Others are no names.
GIVEN = """
declare const hub: import("notification-hub-client").Hub;
declare const token: string, me: string, HUB_URL: string, HUB_TOKEN: string;
declare function show(event: any): void;
declare function draw(payload: any): void;
declare function drawAll(events: import("notification-hub-client").HubEvent[]): void;
declare function apply(event: import("notification-hub-client").HubEvent): void;
declare function reload(): void;
declare function reloadDocument(): void;
declare function badge(state: string): void;
declare function showCursor(user: string | undefined, payload: any): void;
declare function showMembers(members: import("notification-hub-client").Member[], type: string): void;
declare function Job(props: any): any;
declare function getToken(): string;
interface ImportMeta { env: Record<string, string | undefined> }
interface Job { progress: number }
interface Cursor { x: number; y: number }
declare module "centrifuge";
declare module "jose";
declare module "svelte/store";
declare module "vue";
declare module "ws";
"""
SERVED = {
    "hub": 'export * from "notification-hub-client";\n',
    "job-board": 'export * from "notification-hub-client/job-board";\n',
}
OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "noEmit": True,
    "jsx": "react-jsx",
    "target": "es2022",
    "module": "esnext",
    "moduleResolution": "bundler",
    "lib": ["es2023", "dom", "dom.iterable"],
    "types": ["node"],
    "typeRoots": [str(CLIENT / "node_modules" / "@types")],
    "skipLibCheck": True,
    "strict": False,
    "paths": {
        **{
            f"notification-hub-client{entry}": [str(CLIENT / "types" / f"{entry[1:] or 'index'}.d.ts")]
            for entry in ("", "/react", "/msgpack", "/job-board")
        },
        "react": [str(CLIENT / "node_modules" / "@types" / "react")],
        "react/jsx-runtime": [str(CLIENT / "node_modules" / "@types" / "react" / "jsx-runtime")],
    },
}


def source(block: Block) -> tuple[str, str]:
    """As a module, and how its name ends."""
    text, ending = block.text, block.kind
    if block.kind == "html":
        (text,), ending = re.findall(r"<script[^>]*>\n(.*?)</script>", block.text, re.S), "js"
    text = re.sub(r'"/(hub|job-board)\.js"', r'"./\1.js"', text)  # as a hub serves them
    text = re.sub(r"^(.* // does not compile)$", r"// @ts-expect-error\n\1", text, flags=re.M)
    return f"{text}\nexport {{}};\n", ending


def compiled(blocks: list[Block], folder: Path) -> str:
    """What the compiler says, with each block where it stands on its page. The files of a page lie together."""
    (folder / "given.d.ts").write_text(GIVEN)
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS}))
    places = {}
    for number, block in enumerate(blocks):
        text, ending = source(block)
        page = folder / block.page.relative_to(ROOT).with_suffix("")
        path = page / (block.file or f"block{number}.{ending}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for module in ("hub", "job-board"):
            (page / f"{module}.d.ts").write_text(SERVED[module])
        places[path.relative_to(folder).as_posix()] = block
    done = subprocess.run([TSC, "-p", "."], cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout if done.stdout or not done.returncode else done.stderr
    return re.sub(r"^[^(\s]+(?=\()", lambda found: f"{places.get(found[0], '')} {found[0]}", said, flags=re.M)


def test_every_page_compiles_against_the_client(tmp_path: Path) -> None:
    assert len(PAGES) > 15
    assert compiled(PAGES, tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hub.subscribe('job:1', { onEvnt: draw });", "onEvnt"),
        ('import { Hubb } from "notification-hub-client";', "Hubb"),
        ("nowhere();", "nowhere"),
        ("hub.publish('job:1'", "expected"),
    ],
)
def test_a_slip_is_red(text: str, said: str, tmp_path: Path) -> None:
    assert said in compiled([Block(ROOT / "README.md", 1, "", "js", text, None)], tmp_path)


@pytest.mark.parametrize("block", BEFORE, ids=str)
def test_what_stood_before_is_javascript(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "before.mjs"
    file.write_text(block.text)
    subprocess.run(["node", "--check", str(file)], check=True)
