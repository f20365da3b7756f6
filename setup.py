"""Builds the package.

Its metadata are in pyproject.toml, but the licence, as setuptools changed its form there, and the
readme, whose links lead to files of the repository: on PyPI they need its address.
"""

import gzip
import os
import re
import tarfile

from setuptools import setup
from setuptools.command.sdist import sdist

REPOSITORY = "https://github.com/django-payment-webhooks/django-payment-webhooks/blob/main/"


class ReproducibleSdist(sdist):
    """Makes the same archive of the same files, if ``SOURCE_DATE_EPOCH`` says when.

    See https://reproducible-builds.org/docs/source-date-epoch/. setuptools itself heeds it in
    wheels alone.
    """

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **owners):
        """Write the archive, and return its path."""
        moment = os.environ.get("SOURCE_DATE_EPOCH")
        if format != "gztar" or not moment:
            return super().make_archive(base_name, format, root_dir, base_dir, **owners)
        path = base_name + ".tar.gz"
        with open(path, "wb") as file, gzip.GzipFile(
            "", "wb", fileobj=file, mtime=int(moment)
        ) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            archive.add(base_dir, filter=lambda member: settle(member, int(moment)))
        return path


def settle(member, moment):
    """Return a member of an archive without what differs from one checkout to the next."""
    member.mtime = moment
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def read_readme():
    """Return README.md with the repository's address before each link to a file."""
    with open("README.md", encoding="utf-8") as file:
        return re.sub(r"\]\((?!https?:|#)", "](" + REPOSITORY, file.read())


setup(
    license="BSD-3-Clause",
    long_description=read_readme(),
    long_description_content_type="text/markdown",
    cmdclass={"sdist": ReproducibleSdist},
)
