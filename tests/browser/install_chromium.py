"""Install Chromium, if it is not there: ``python tests/browser/install_chromium.py``, as root, where there is apt."""

import os
import shutil
import subprocess
import sys


def main():
    """Install it, or say how."""
    if os.environ.get("CHROMIUM") or shutil.which("chromium"):
        return
    if not shutil.which("apt-get") or os.getuid():
        sys.exit("There is no Chromium. Install it, or set CHROMIUM to the path of one (or of Chrome).")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in ("update", "install --yes --no-install-recommends chromium"):
        subprocess.check_call(["apt-get", "--quiet", *command.split()], env=environment)


if __name__ == "__main__":
    main()
