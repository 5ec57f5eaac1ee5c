"""Where a path points, and how it is opened: the one way in which actions reach files.

`root` is the author's folder and is opened as the system opens it. Each part below it is opened by the descriptor of
the folder above it, without following links, so that nothing that others do to the folders meanwhile leads out.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from reactor.contracts.errors import StepFailed
from reactor.contracts.event import rfc3339
from reactor.contracts.names import LONGEST_NAME, LONGEST_PATH, named, text_of
from reactor.contracts.text import raw
from reactor.kit.roots import refused

KINDS = {
    errno.ENOENT: "file.not_found",
    errno.EEXIST: "file.exists",
    errno.EACCES: "file.denied",
    errno.EPERM: "file.denied",
    errno.EROFS: "file.denied",
    errno.ENOSPC: "file.full",
    errno.EDQUOT: "file.full",
    errno.ENAMETOOLONG: "file.path",
    errno.ELOOP: "file.path",
    errno.EILSEQ: "file.path",
}
FINAL = frozenset({
    errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ENOTEMPTY, errno.ENXIO, errno.ENODEV, errno.EFBIG, errno.EXDEV,
    errno.EOVERFLOW, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.ESPIPE,
})  # fmt: skip
"""Errors that would be the same at the next attempt."""

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Place:
    """A file or folder. `parts` are below `root`; `follow` is for a path that the author wrote as a whole: the last
    part may be a link too."""

    def __init__(self, root: str, parts: tuple[str, ...], follow: bool = False) -> None:
        for part in parts:
            if len(raw(part)) > LONGEST_NAME:
                raise refused(
                    f"the name {text_of(part)[:40]}… has {len(raw(part)):,} bytes; a name has at most {LONGEST_NAME}"
                )
        if sum(len(raw(part)) + 1 for part in parts) + len(raw(root)) > LONGEST_PATH:
            raise refused(f"the path has more than {LONGEST_PATH:,} bytes")
        self.root, self.parts, self.follow = root, parts, follow

    @property
    def path(self) -> Path:
        return Path(self.root, *self.parts)

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix.lower()

    def __str__(self) -> str:
        return text_of(str(self.path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def child(self, *names: str) -> Place:
        """What is in this folder; no link is followed below it."""
        if self.follow:
            return Place(str(self.path), names)
        return Place(self.root, self.parts + names)

    def beside(self, name: str) -> Place:
        return Place(self.root, (*self.parts[:-1], name), self.follow)

    @contextmanager
    def above(self, make: bool = False) -> Iterator[int]:
        """The descriptor of the folder that this is in; with `make`, folders that are missing are made."""
        if make:
            Path(self.root).mkdir(parents=True, exist_ok=True)
        folder = os.open(self.root, _FOLDER)
        try:
            for part in self.parts[:-1]:
                inner = self._enter(folder, part, make)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _enter(self, folder: int, part: str, make: bool, flags: int = _FOLDER) -> int:
        while True:
            try:
                return os.open(part, flags | os.O_NOFOLLOW, dir_fd=folder)
            except FileNotFoundError:
                if not make:
                    raise
                try:
                    os.mkdir(part, dir_fd=folder)
                except FileExistsError:
                    make = False  # somebody else made it, or it is a link to nowhere
            except OSError as error:
                if was_link(error, folder, part):
                    raise refused(
                        f"{text_of(part)} is a link; links are not followed below {text_of(self.root)}"
                    ) from None
                raise

    def open(self, flags: int, mode: int = 0o666, make: bool = False) -> int:
        """A descriptor of the file. It never waits (for the other end of a pipe)."""
        flags |= os.O_CLOEXEC | os.O_NONBLOCK | (0 if self.follow else os.O_NOFOLLOW)
        with self.above(make) as folder:
            try:
                return os.open(self.name, flags, mode, dir_fd=folder)
            except OSError as error:
                if flags & os.O_NOFOLLOW and was_link(error, folder, self.name):
                    raise refused(f"{self} is a link, which is not followed here") from None
                raise

    def open_folder(self) -> int:
        """A descriptor that the folder can be listed by."""
        return self.open(os.O_RDONLY | os.O_DIRECTORY)

    def status(self) -> os.stat_result | None:
        """What is there, or None. A link is itself unless it may be followed."""
        try:
            with self.above() as folder:
                return os.stat(self.name, dir_fd=folder, follow_symlinks=self.follow)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_folder(self) -> bool:
        found = self.status()
        return found is not None and stat.S_ISDIR(found.st_mode)

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """The file, open to be read as bytes."""
        descriptor = self.open(os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                raise StepFailed("file.io", f"{self} is not a regular file", retryable=False)
            yield file

    def remove(self) -> None:
        with self.above() as folder:
            os.unlink(self.name, dir_fd=folder)

    def facts(self, status: os.stat_result) -> dict[str, object]:
        """What results say of a file."""
        return {
            **named("path", str(self.path)),
            **named("name", self.name),
            "size": status.st_size,
            "modified": rfc3339(status.st_mtime),
        }


class Partial:
    """A new file beside its target, which takes the target's place whole (`put`) or goes (`drop`)."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.result: dict[str, object] = {}
        with place.above(make=True) as folder:
            self._folder = os.dup(folder)
        self._name = f".reactor-{secrets.token_hex(8)}.partial"
        try:
            mode = self._mode_of_target()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._name, flags, 0o666 if mode is None else mode & 0o777, dir_fd=self._folder)
            if mode is not None:
                os.fchmod(descriptor, mode)
        except BaseException:
            os.close(self._folder)
            raise
        self.file: BinaryIO = os.fdopen(descriptor, "wb")

    @contextmanager
    def text(self, encoding: str = "utf-8") -> Iterator[TextIO]:
        """The file as text, line ends as they are written."""
        made = io.TextIOWrapper(self.file, encoding=encoding, newline="")
        try:
            yield made
            made.flush()
        except UnicodeEncodeError as error:
            character = ascii(error.object[error.start])
            raise StepFailed(
                "expression", f"the character {character} cannot be written as {encoding}", retryable=False
            ) from None
        finally:
            made.detach()

    def _mode_of_target(self) -> int | None:
        try:
            found = os.stat(self.place.name, dir_fd=self._folder, follow_symlinks=self.place.follow)
        except FileNotFoundError:
            return None
        return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else None

    def put(self, times: tuple[int, int] | None = None) -> dict[str, object]:
        """Syncs the file and renames it over the target; what results say of it. `times` are in nanoseconds."""
        try:
            self.file.flush()
            if times is not None:
                os.utime(self.file.fileno(), ns=times)
            os.fsync(self.file.fileno())
            status = os.fstat(self.file.fileno())
            os.replace(self._name, self.place.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException:
            self.drop()
            raise
        self._close()
        return self.place.facts(status)

    def drop(self) -> None:
        try:
            os.unlink(self._name, dir_fd=self._folder)
        except FileNotFoundError:
            pass
        finally:
            self._close()

    def _close(self) -> None:
        os.close(self._folder)
        with suppress(OSError):  # what was not written does not matter any more; what counts was synced
            self.file.close()


@contextmanager
def writing(place: Place) -> Iterator[Partial]:
    """A new file that takes its place when the block ends well; `partial.result` is what results say of it."""
    partial = Partial(place)
    try:
        yield partial
    except BaseException:
        partial.drop()
        raise
    partial.result = partial.put()


@contextmanager
def errors(place: Place) -> Iterator[None]:
    """Operating system errors as a step's."""
    try:
        yield
    except OSError as error:
        raise failed(error, place) from None


def failed(error: OSError, place: Place) -> StepFailed:
    """An operating system error as a step's: `file.not_found file.exists file.denied file.full file.path file.io`."""
    kind = KINDS.get(error.errno or 0, "file.io")
    again = kind == "file.full" or (kind == "file.io" and error.errno not in FINAL)
    return StepFailed(kind, f"{place}: {error.strerror or error}", retryable=again)


def after(error: OSError, place: Place, state: str) -> StepFailed:
    """The same once the action has had an effect: it must not act again."""
    made = failed(error, place)
    return StepFailed(made.type, f"{made}; {state}", retryable=False)


def was_link(error: OSError, folder: int, name: str) -> bool:
    """Whether it was not opened because it is a link. A folder that is there now was one a moment ago."""
    if error.errno != errno.ENOTDIR:
        return error.errno == errno.ELOOP
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return True
    return stat.S_ISLNK(mode) or stat.S_ISDIR(mode)
