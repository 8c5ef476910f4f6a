"""Read and write the files of the staging area, on a disk or in an object store; files are written atomically.

A path is a string: `/a/folder`, `file:///a/folder`, or any path that `ObjectStoragePath` takes, with its connection
(`s3://aws_default@bucket/prefix`).

Local paths use `pathlib`, because only disks have modes (0600 for files, 0700 for folders) and an atomic rename.  All
other paths use Airflow's ObjectStoragePath, which is imported when it is first needed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from ecw.errors import ConfigurationError, StagingUnavailable
from ecw.settings import connections

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


# The optional packages (pyproject.toml) that a scheme needs; other schemes need the provider of their store.
PACKAGES = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "airflow-ecw-crm[s3]"),
    **dict.fromkeys(("gs", "gcs"), "airflow-ecw-crm[gcs]"),
    **dict.fromkeys(("abfs", "abfss", "adl"), "apache-airflow-providers-microsoft-azure adlfs"),
}
STORES = ("aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "azure")  # packages whose errors are not OSErrors
FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}
UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
UNUSABLE |= {errno.ELOOP, errno.EINVAL}


@contextmanager
def explained(path: str, *, writing: bool = False) -> Iterator[None]:
    """Translate errors of the disk or the object store into the project's, which name the path and the next step.

    FileNotFoundError passes unless `writing`: for a reader it is a result.

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
                next_step="try again; if it happens again, "
                "check whether the disk is full: lower the variable ecw_staging_days, "
                "or point ecw_staging to another place.",
            ) from None
        # Object stores raise these classes without an errno.
        if error.errno in unusable or isinstance(
            error, (PermissionError, FileNotFoundError) if writing else PermissionError
        ):
            raise ConfigurationError(
                f"The staging area cannot be used{code}: {_place(path)}.",
                next_step="check that the variable ecw_staging names a folder, or a bucket, that Airflow's workers may "
                "read and write.",
            ) from None
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in STORES:
            raise
        raise StagingUnavailable(
            f"The object store does not answer ({type(error).__name__}): {_place(path)}.",
            next_step="try again; if it happens again, "
            "check that every worker reaches the store, and that the connection in "
            "the variable ecw_staging (s3://conn_id@bucket) has its right address and keys.",
        ) from None


def _place(path: str) -> str:
    """Return the path without the part before the @, which may be secret."""
    scheme, separator, rest = path.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else path


def join(folder: str, *names: str) -> str:
    """Return the path of a file below a folder."""
    return "/".join((folder.rstrip("/"), *names))


@contextmanager
def put(path: str) -> Iterator[IO[bytes]]:
    """Yield a file that replaces `path` if the `with` ends without an error, and is removed otherwise."""
    with explained(path, writing=True), _put(path) as file:
        yield file


@contextmanager
def _put(path: str) -> Iterator[IO[bytes]]:
    local = _local(path)
    if local is None:
        remote = _remote(path)
        # S3, GCS and Azure show no file before commit(); for other stores the manifest, which is written last, decides.
        handle = remote.fs.open(remote.path, "wb", autocommit=False)
        try:
            yield handle
        except BaseException:
            handle.discard()
            if hasattr(handle, "autocommit"):  # else the finaliser of fsspec's buffered files sends the rest
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


def put_bytes(path: str, content: bytes) -> None:
    """Write a small file atomically; in an object store by one request."""
    if _local(path) is None:
        with explained(path, writing=True):
            remote = _remote(path)
            remote.fs.pipe_file(remote.path, content)
        return
    with put(path) as file:
        file.write(content)


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
    """Return a file's size in bytes, None if the file does not exist."""
    local = _local(path)
    try:
        with explained(path):
            return local.stat().st_size if local is not None else int(_remote(path).fs.size(_remote(path).path))
    except FileNotFoundError:
        return None


def names(folder: str, *, hidden: bool = False) -> list[str]:
    """Return the sorted names in a folder, [] if the folder does not exist.

    With `hidden` also names that begin with a dot, such as those of files that a killed writer left.
    """
    local = _local(folder)
    with explained(folder):
        try:
            found = (local if local is not None else _remote(folder)).iterdir()
            return sorted(entry.name for entry in found if hidden or not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []


def remove(path: str) -> None:
    """Remove a file, or a folder with its contents, if it exists."""
    with explained(path):
        _remove(path)


def _remove(path: str) -> None:
    local = _local(path)
    if local is None:
        remote = _remote(path)
        if remote.fs.exists(remote.path):
            remote.fs.rm(remote.path, recursive=True)
    elif local.is_dir():
        shutil.rmtree(local, onerror=_raise_unless_missing)
    else:
        local.unlink(missing_ok=True)


def _raise_unless_missing(
    _function: object, _path: str, error: tuple[type[BaseException], BaseException, object]
) -> None:
    """Raise the error unless the file is gone already: two parallel runs may remove the same old folder."""
    if not issubclass(error[0], FileNotFoundError):
        raise error[1]


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _local(path: str) -> Path | None:
    if "://" not in path:
        return Path(path)
    parts = urlsplit(path)
    return Path(unquote(parts.path)) if parts.scheme in ("file", "local") else None


def _remote(path: str) -> ObjectStoragePath:
    """Return the path in an object store, with the cached listings cleared, because other workers write there, too.

    Raises ConfigurationError if packages or the connection are missing.
    """
    from airflow.sdk import ObjectStoragePath

    scheme = path.partition("://")[0]
    _require_connection(urlsplit(path).netloc.rpartition("@")[0])
    try:
        remote = ObjectStoragePath(path)
        files = remote.fs
    except (ImportError, ValueError):  # no provider, or no fsspec driver, for this scheme
        raise ConfigurationError(
            f"The staging area {_place(path)} needs packages for {scheme}:// that this machine does not have.",
            next_step=f'install them on every scheduler, worker and triggerer: pip install "{PACKAGES[scheme]}".'
            if scheme in PACKAGES
            else "install Airflow's provider for this store, or change the variable ecw_staging: a folder, "
            "s3://conn_id@bucket/prefix or gs://conn_id@bucket/prefix.",
        ) from None
    files.invalidate_cache(remote.path)
    return remote


@cache
def _require_connection(conn_id: str) -> None:
    """Raise ConfigurationError if the connection does not exist: the AWS hook would continue without it."""
    if ":" in conn_id:
        raise ConfigurationError(
            "The variable ecw_staging holds a user and a password before the @.",
            next_step="put them into a connection, and write the connection's id there: s3://conn_id@bucket/prefix.",
        )
    if conn_id:
        connections.get(conn_id)


def abort_uploads(folder: str, before: datetime) -> int:
    """Abort the uploads below a folder that began before a time and never ended; return how many.

    A killed worker leaves the parts of a large file in S3, where no listing shows them and nothing deletes them. Stores
    that delete them by themselves (GCS after a week), and disks, need no abort.
    """
    if _local(folder) is not None:
        return 0
    with explained(folder):
        remote = _remote(folder)
        if not hasattr(remote.fs, "list_multipart_uploads"):
            return 0
        bucket, _, prefix = remote.path.partition("/")
        old = [
            upload
            for upload in remote.fs.list_multipart_uploads(bucket)
            if upload["Key"].startswith(prefix) and upload["Initiated"] < before
        ]
        for upload in old:
            remote.fs.abort_mpu(bucket, upload["Key"], upload["UploadId"])
    return len(old)
