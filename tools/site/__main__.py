"""Build docs as a static site into a folder, build/docs by default: pages with a search that works
without a server, the Markdown of each page beside it, and llms.txt. Warnings are errors.

    python -m tools.site [FOLDER]
"""

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from sphinx.cmd.build import build_main

django.setup()

# They import models, which need Django to be set up.
from reference.manual.llms_txt import llms_txt  # noqa: E402
from reference.manual.pages import FOLDER, manual  # noqa: E402

_SETTINGS = Path(__file__).parent


def build_site(target: Path) -> int:
    """Write the site and return Sphinx's exit code."""
    shutil.rmtree(target, ignore_errors=True)
    options = ["-q", "-W", "--keep-going", "-E", "-c", str(_SETTINGS), "-d", f"{target}.cache"]
    code = build_main([*options, str(FOLDER), str(target)])
    if code == 0:
        shutil.copy(target / "README.html", target / "index.html")
        for page in manual().pages.values():
            (target / f"{page.name}.md").write_text(page.source, encoding="utf-8")
        text = llms_txt(manual(), lambda page: f"{page.name}.md")
        (target / "llms.txt").write_text(text, encoding="utf-8")
    return code


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs")
    if code := build_site(place):
        sys.exit(code)
    sys.stdout.write(f"{place}/index.html\n")
