"""A file appears whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kinepose_ocp.errors import DataError

_unfinished: set[Path] = set()  # temporary files and folders of this process


def abandon() -> None:
    """Remove what is half-written, for a process that ends without unwinding."""
    for temporary in _unfinished:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove(temporary)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to; it takes the place of ``path`` when the block ends without error.

    The temporary file lies in the same folder under a hidden name with the same ending, and is removed on
    any error. A missing folder is made; a link keeps pointing to the file that is replaced.

    Raises
    ------
    DataError
        ``PATH: cannot be written: reason`` for any OSError, and for the RuntimeError that the NetCDF library
        raises when the disk is full.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.stem[:50]}-{secrets.token_hex(4)}{target.suffix}")
    _unfinished.add(temporary)
    try:
        _refuse(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    except RuntimeError as error:
        if type(error) is not RuntimeError:  # NotImplementedError, RecursionError: faults of the program
            raise
        raise DataError(f"{path}: cannot be written: {error} (is the disk full?)") from error
    finally:
        _remove(temporary)
        _unfinished.discard(temporary)


@contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder to write to; it becomes ``path`` when the block ends without error.

    It lies beside ``path`` under a hidden name, and is removed with all it holds on any error.

    Raises
    ------
    DataError
        ``PATH: ...`` when there is something at that place already, or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:50]}-{secrets.token_hex(4)}")
    check_new_folder(path)
    _unfinished.add(temporary)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rmdir()
        os.rename(temporary, target)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _unfinished.discard(temporary)


def check_new_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a place for a new folder that holds something, or that cannot be written, before the work.

    Raises
    ------
    DataError
        ``PATH: ...``.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        if any(target.iterdir()):
            raise DataError(f"{path}: is a folder that is not empty; give the name of a new one")
    elif target.exists():
        raise DataError(f"{path}: is a file; give the name of a new folder")
    check_place(target / "file")


def check_place(path: str | os.PathLike[str]) -> None:
    """Refuse a place that :func:`whole_file` could not write to, before the work whose result goes there.

    Raises
    ------
    DataError
        ``PATH: cannot be written: reason``.
    """
    try:
        _refuse(Path(os.path.realpath(path)))
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def _refuse(target: Path) -> None:
    """Refuse a folder that cannot be written or made, and what renaming would silently replace.

    The latter is a device such as /dev/null, or a write-protected file.
    """
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    if not target.exists():
        return
    if target.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not target.is_file():
        raise OSError(errno.EINVAL, "Not a regular file")
    if not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:  # no such folder, or none to look into: there is nothing to remove
        pass
