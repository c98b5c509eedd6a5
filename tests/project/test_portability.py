"""The project is of no machine: it names nobody's folders, and no package index."""

import re
import subprocess

from tests.support.paths import ROOT

FOLDERS = re.compile(r"(?<![\w.*$}~/-])/(?:work|home|root|Users|mnt|opt|srv)/[\w.]")
# Those of the container image, which deploy/Dockerfile makes.
IMAGE = re.compile(r"/(?:opt/venv|srv/(?:mesh|dagster))\b")
INDEX = re.compile(r"https?://[\w.-]*(?:pypi|pythonhosted|artifactory|nexus|index)[\w.-]*|--(?:extra-)?index-url\s+\S+")
BINARY = (".gz", ".parquet", ".xlsx", ".png")


def test_no_path_of_a_machine_and_no_index_host() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if not path.is_file() or path.suffix in BINARY:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            folder = FOLDERS.search(line) and not IMAGE.search(line)
            if (folder or INDEX.search(line)) and name != "tests/project/test_portability.py":
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)
