"""The environment of a process that runs untrusted code: without keys, tokens and unrelated settings.

What is needed to find programs, to write texts and to keep temporary files is handed on, and nothing else.
"""

import os
import sys
from collections.abc import Collection
from pathlib import Path

_KEPT = frozenset({
    "PATH", "TMPDIR", "TMP", "TEMP", "LANG", "LANGUAGE", "TZ", "TERM", "NO_COLOR",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS",
    "PYTHONHOME", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED",
    "PYTHONLEGACYWINDOWSSTDIO", "PYTHONWARNINGS", "VIRTUAL_ENV",
    "DO_NOT_TRACK", "DAGSTER_DISABLE_TELEMETRY", "GX_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY",
})  # fmt: skip


def scrubbed_environment(home: str, *, names: Collection[str] = ()) -> dict[str, str]:
    """Return the part of this process's environment that such a process may have, with `home` as HOME.

    Besides what every process needs these are the variables of `names`. Python modules are found where this process
    finds them.
    """
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_") or name in names
    }
    modules = [path for path in sys.path if Path(path).is_absolute()]
    return {**kept, "HOME": home, "PYTHONPATH": os.pathsep.join(modules)}
