"""Files of the staging area, on a disk or in an object store, that appear whole or not at all.

A path is a string: `/a/folder`, `file:///a/folder`, or whatever `ObjectStoragePath` takes, its connection
included (`s3://aws_default@bucket/prefix`).

Local disks are served by `pathlib`, because only there do modes (0600 for files, 0700 for folders) and an atomic
rename exist; everything else goes through Airflow's ObjectStoragePath, imported when it is first needed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from ecw.errors import ConfigurationError, StagingUnavailable

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}
UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
UNUSABLE |= {errno.ELOOP, errno.EINVAL}


@contextmanager
def explained(path: str, *, writing: bool = False) -> Iterator[None]:
    """Let an error of the disk or of the object store be one of ours, which names the area and what to do.

    To who reads, FileNotFoundError is an answer, and passes.

    Raises StagingUnavailable, ConfigurationError.
    """
    unusable = UNUSABLE | ({errno.ENOENT} if writing else set())
    try:
        yield
    except OSError as error:
        code = f" ({errno.errorcode[error.errno]})" if error.errno and error.errno in errno.errorcode else ""
        if error.errno in FULL:
            raise StagingUnavailable(
                f"The staging area cannot be used{code}: {_place(path)}.",
                next_move="try again; if it stays, see whether the disk is full: lower the variable ecw_staging_days, "
                "or point ecw_staging to another place.",
            ) from None
        if error.errno in unusable or isinstance(error, PermissionError):  # object stores raise it without a number
            raise ConfigurationError(
                f"The staging area cannot be used{code}: {_place(path)}.",
                next_move="see that the variable ecw_staging names a folder, or a bucket, that Airflow's workers may "
                "read and write.",
            ) from None
        raise


def _place(path: str) -> str:
    """Return the path without what may be secret in an address."""
    scheme, there, rest = path.rpartition("://")
    return f"{scheme}{there}{rest.rpartition('@')[2]}" if there else path


def join(folder: str, *names: str) -> str:
    """Return the path of a file below a folder."""
    return "/".join((folder.rstrip("/"), *names))


@contextmanager
def put(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces `path` when the block ends well, and leaves no trace when it does not."""
    with explained(path, writing=True), _put(path) as file:
        yield file


@contextmanager
def _put(path: str) -> Iterator[IO[bytes]]:
    local = _local(path)
    if local is None:
        remote = _remote(path)
        # S3, GCS and Azure show nothing under the path before commit(); for the others the manifest comes last
        handle = remote.fs.open(remote.path, "wb", autocommit=False)
        try:
            yield handle
        except BaseException:
            handle.discard()
            if hasattr(handle, "autocommit"):  # fsspec's buffered files: their finaliser would send what is left
                handle.closed = True
            raise
        handle.close()
        handle.commit()
        return
    make_folder(local.parent)
    temporary = local.with_name(f".{local.name}.{uuid4().hex}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            yield file
        temporary.replace(local)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def get(path: str) -> IO[bytes]:
    """Open a file for reading.

    Raises FileNotFoundError.
    """
    local = _local(path)
    with explained(path):
        if local is not None:
            try:
                return local.open("rb")
            except NotADirectoryError:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        remote = _remote(path)
        handle: IO[bytes] = remote.fs.open(remote.path, "rb")
        return handle


def size(path: str) -> int | None:
    """Return a file's size in bytes, or None where there is no such file."""
    local = _local(path)
    try:
        with explained(path):
            return local.stat().st_size if local is not None else int(_remote(path).fs.size(_remote(path).path))
    except FileNotFoundError:
        return None


def names(folder: str, *, hidden: bool = False) -> list[str]:
    """Return the sorted names of what a folder holds; a folder that is not there holds nothing.

    `hidden`: those that begin with a dot too, as what a killed writer leaves.
    """
    local = _local(folder)
    with explained(folder):
        try:
            found = (local if local is not None else _remote(folder)).iterdir()
            return sorted(entry.name for entry in found if hidden or not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []


def remove(path: str) -> None:
    """Remove a file, or a folder with everything in it; it need not be there."""
    with explained(path):
        _remove(path)


def _remove(path: str) -> None:
    local = _local(path)
    if local is None:
        remote = _remote(path)
        if remote.fs.exists(remote.path):
            remote.fs.rm(remote.path, recursive=True)
    elif local.is_dir():
        shutil.rmtree(local, onerror=_unless_gone)
    else:
        local.unlink(missing_ok=True)


def _unless_gone(_function: object, _path: str, error: tuple[type[BaseException], BaseException, object]) -> None:
    """Let two runs that begin side by side, as a backfill's do, remove the same old folder."""
    if not issubclass(error[0], FileNotFoundError):
        raise error[1]


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, for their owner only."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _local(path: str) -> Path | None:
    if "://" not in path:
        return Path(path)
    parts = urlsplit(path)
    return Path(unquote(parts.path)) if parts.scheme in ("file", "local") else None


def _remote(path: str) -> ObjectStoragePath:
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(path)
