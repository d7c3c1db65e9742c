"""A hook of mkdocs: links that leave docs/ lead to the repository, where there is one to name.

Pages are written to be read in the repository, where ``../logs/doom`` is a folder. On the site it
is ``REPO_URL``/blob/main/logs/doom; without ``REPO_URL`` it is plain text. Pictures are copied.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<to>[^)#:]+)(?P<place>#[^)]*)?\)")
HOME = "README.md"  # of the repository, which is the site's first page


def on_files(files: Any, config: Any) -> Any:
    """Add the README as the first page, and pictures that lie outside docs/."""
    from mkdocs.structure.files import File

    root = Path(config["config_file_path"]).parent
    files.append(File.generated(config, "index.md", content=(root / HOME).read_text("utf-8")))
    outside = set()
    for page in list(files.documentation_pages()):
        for match in LINK.finditer(page.content_string):
            target = _target(page.src_uri, match["to"])
            if match["picture"] and not target.startswith("docs/"):
                outside.add(target)
    for target in sorted(outside):
        files.append(File.generated(config, target, abs_src_path=str(root / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite the page's links."""
    here = page.file.src_uri

    def rewritten(match: re.Match[str]) -> str:
        target, place = _target(here, match["to"]), match["place"] or ""
        if target.startswith("docs/"):
            to = target.removeprefix("docs/")
        elif target == HOME:
            to = "index.md"
        elif match["picture"]:
            to = target
        elif config["repo_url"]:
            return f"[{match['text']}]({config['repo_url'].rstrip('/')}/blob/main/{target}{place})"
        else:
            return match["text"]
        up = "../" * (len(PurePosixPath(here).parts) - 1)
        return f"{match['picture']}[{match['text']}]({up}{to}{place})"

    return LINK.sub(rewritten, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Docstrings say :class:`Game`; the page says Game."""
    return re.sub(r":(?:class|meth|func|mod):(?=<code>)", "", html)


def _target(page: str, link: str) -> str:
    """What a page's link names, from the repository's root."""
    folder = PurePosixPath() if page == "index.md" else PurePosixPath("docs", page).parent
    return normpath(str(folder / link))
