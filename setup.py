"""Builds the package.

Its metadata are in pyproject.toml, but the licence: setuptools changed its form there.
"""

import gzip
import os
import tarfile

from setuptools import setup
from setuptools.command.sdist import sdist


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


setup(license="BSD-3-Clause", cmdclass={"sdist": ReproducibleSdist})
