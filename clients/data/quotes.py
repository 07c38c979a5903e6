"""Finds the quotation marks of a CSV file, and what is not in its encoding, while its bytes pass by."""

import codecs
import io
from collections.abc import Callable
from pathlib import Path


class QuotationMark(Exception):
    """A quotation mark stands in a file that is read as one without any."""


class Unquoted(io.FileIO):
    """A file that is looked at while it is read, once: a quotation mark in its text raises `QuotationMark`."""

    def __init__(self, path: Path, encoding: str, is_all: bool) -> None:
        """Opens the file; encoding and `is_all` are those of `marks_counter`."""
        super().__init__(path)
        self._marks_in = marks_counter(encoding, is_all)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, none at the end."""
        chunk = super().read(size)
        if self._marks_in(chunk):
            raise QuotationMark
        return chunk


def marks_counter(encoding: str, is_all: bool) -> Callable[[bytes], int]:
    """A function that counts the quotation marks in one part of a file after the other; the last part is empty.

    It raises `UnicodeDecodeError` where a part is not in the encoding. With `is_all` it passes over what is not UTF-8,
    since whoever reads all columns finds that.
    """
    encoding = codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder(encoding)()

    def marks_in(part: bytes) -> int:
        # ASCII need not be decoded either, unless a character before it is not complete.
        if part and encoding == "utf-8" and (is_all or (part.isascii() and not decoder.getstate()[0])):
            return part.count(b'"') if b'"' in part else 0
        return decoder.decode(part, final=not part).count('"')

    return marks_in
