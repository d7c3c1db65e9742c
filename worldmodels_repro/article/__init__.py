"""The article: a run as one page that dreams, with all that it needs inside."""

from pathlib import Path

WEB = Path(__file__).with_name("web")
"""The page's templates, styles and scripts."""
