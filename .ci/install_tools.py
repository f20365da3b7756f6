"""Install what some tests drive, where it is missing: Chromium and promtool.

``python .ci/install_tools.py [chromium] [promtool]``; without a name both. As root, where there is
apt.
"""

import os
import shutil
import subprocess
import sys

PACKAGES = {"chromium": "chromium", "promtool": "prometheus"}


def main():
    """Install them, or say how."""
    wanted = sys.argv[1:] or list(PACKAGES)
    missing = [
        name for name in wanted if not shutil.which(name) and not os.environ.get(name.upper())
    ]
    if not missing:
        return
    if not shutil.which("apt-get") or os.getuid():
        names = " and no ".join(missing)
        sys.exit(f"There is no {names}. Install it; CHROMIUM can be the path of another Chromium.")
    packages = [PACKAGES[name] for name in missing]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.check_call(["apt-get", "--quiet", *command], env=environment)


if __name__ == "__main__":
    main()
