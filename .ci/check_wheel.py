"""Checks that an sdist is as good as the checkout, and that the wheel beside it works.

``python check_wheel.py <the folder of both>``, in the root of the checkout. The wheel is tried in
an empty environment. The sdist is unpacked elsewhere: it must build the same bytes again, if
``SOURCE_DATE_EPOCH`` is set as it was, and its tests must be found.
"""

import filecmp
import glob
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile

PACKAGE = "django_payment_webhooks"
UV = [sys.executable, "-m", "uv", "pip"]
BUILD = [sys.executable, "-m", "build", "--installer", "uv"]
FIXTURE = "\npayment_webhooks -- "
# Imports every module of the package, as a project that has nothing else does; but the one that
# pytest imports.
IMPORT = """
import pkgutil
import django
from django.conf import settings

apps = ["contenttypes", "auth", "sessions", "messages", "admin"]
settings.configure(
    SECRET_KEY="none",
    INSTALLED_APPS=["django.contrib." + name for name in apps] + ["django_payment_webhooks"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
import django_payment_webhooks as package

names = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
names.remove(package.__name__ + ".pytest_plugin")
# What a worker needs for each broker: pytest would bring some of it.
brokers = ["kombu.transport.redis", "kombu.transport.pyamqp"]
for name in names + brokers:
    __import__(name)
print(f"{package.__version__}: imported {len(names)} modules of {package.__path__[0]}")
"""


def packaged_files(wheel):
    """Return the names of the files that a wheel installs, without its own description."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def list_checkout(*folders):
    """Return the names of the files that git knows."""
    return set(subprocess.check_output(["git", "ls-files", *folders], text=True).split())


def check_sdist(folder):
    """End the program if a file of the checkout is not in the sdist: tox needs them."""
    (sdist,) = glob.glob(os.path.join(folder, "*.tar.gz"))
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    missing = list_checkout() - packed - {".gitignore"}
    if missing:
        sys.exit(f"Not in the sdist: {sorted(missing)}")


def unpack(sdist, folder):
    """Unpack an sdist into a folder, and return where its files are."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = os.listdir(folder)
    return os.path.join(folder, root)


def check_bytes(root, built, folder):
    """End the program if what an unpacked sdist builds is not what was built before."""
    # What setuptools has written into the sdist, and would list as a file of its own.
    os.remove(os.path.join(root, "setup.cfg"))
    subprocess.check_call([*BUILD, "--outdir", folder, root])
    names = sorted(os.listdir(built))
    _, differing, missing = filecmp.cmpfiles(built, folder, names, shallow=False)
    if differing or missing or names != sorted(os.listdir(folder)):
        sys.exit(f"Built twice, and not the same: {differing + missing}, {os.listdir(folder)}")


def check_tests(root, python):
    """End the program if the tests of an unpacked sdist are not found there."""
    command = [python, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", root]
    collected = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True)
    last = collected.stdout.strip().splitlines()[-1]
    if collected.returncode or "collected" not in last:
        sys.exit(collected.stdout)
    print(f"In the unpacked sdist: {last}")


def check_wheel(folder):
    """Return the path of the wheel. End the program if it has other files, or links to nowhere."""
    (wheel,) = glob.glob(os.path.join(folder, "*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        relative = re.findall(r"\]\((?!https?:|#)[^)]*\)", archive.read(name).decode())
    if relative:
        sys.exit(f"On PyPI these links lead nowhere: {relative}")
    differing = packaged_files(wheel) ^ list_checkout(PACKAGE)
    if differing:
        sys.exit(f"In the wheel or in the checkout, but not in both: {sorted(differing)}")
    return wheel


def install(python, *names):
    """Install packages into an environment, in the versions that are tested."""
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    constraints = ["-c", f"constraints/{version}.txt", "-c", "constraints/django.txt"]
    subprocess.check_call([*UV, "install", "--quiet", "--python", python, *constraints, *names])


def main(folder):
    """Check both."""
    check_sdist(folder)
    wheel = check_wheel(folder)
    with tempfile.TemporaryDirectory() as empty:
        venv.create(empty)
        python = os.path.join(empty, "bin", "python")
        install(python, wheel + "[metrics,services,tracing]")
        subprocess.check_call([*UV, "check", "--python", python])
        subprocess.check_call(
            [python, "-W", "error::DeprecationWarning:" + PACKAGE, "-c", IMPORT], cwd=empty
        )
        install(python, "pytest")
        project = os.path.join(empty, "project")
        os.mkdir(project)
        fixtures = subprocess.check_output(
            [python, "-m", "pytest", "--fixtures"], cwd=project, universal_newlines=True
        )
        if FIXTURE not in fixtures:
            sys.exit("pytest does not find the fixture of the package by itself.")
        (sdist,) = glob.glob(os.path.join(folder, "*.tar.gz"))
        root = unpack(sdist, os.path.join(empty, "unpacked"))
        install(python, wheel + "[test]")
        check_tests(root, python)
        check_bytes(root, folder, os.path.join(empty, "again"))


if __name__ == "__main__":
    main(sys.argv[1])
