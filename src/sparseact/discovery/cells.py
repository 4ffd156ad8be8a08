"""What the columns of a piece of a log hold: numbers, texts, and the actions that were used."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt
import polars as pl

from sparseact.arguments import LARGEST
from sparseact.design import Floats, Ints
from sparseact.discovery.pieces import Piece

_log = logging.getLogger(__name__)

# What stands for an empty slot where actions are numbers.
NONE = "-1"


def numbers(piece: Piece, column: str) -> Floats:
    """(n, w) numbers of a column: w is 1, or their length if it holds vectors of one length.

    NaN where there is none; true and false are 1 and 0.

    Raises
    ------
    LogError
        If the column holds something else, or a number that is not finite or above 1e30.
    """
    values = piece.frame[column]
    width = 1
    if isinstance(values.dtype, pl.List | pl.Array):
        values, width = _unrolled(piece, values)
    found = _parsed(piece, values, width).to_numpy()
    with np.errstate(invalid="ignore"):
        beyond = np.flatnonzero(np.abs(found) > LARGEST)
    if beyond.size:
        problem = f"numbers must be finite and at most {LARGEST:g}, got {found[beyond[0]]:g}"
        piece.refuse(column, problem, beyond[0] // width)
    return np.asarray(found, dtype=np.float64).reshape(len(piece.frame), width)


def _unrolled(piece: Piece, vectors: pl.Series) -> tuple[pl.Series, int]:
    """The numbers of vectors (n·w,), and w."""
    if isinstance(vectors.dtype, pl.Array):
        vectors = vectors.arr.to_list()
    lengths = vectors.list.len()
    width: int = lengths.drop_nulls().first() or 0  # type: ignore[assignment]
    other = (lengths.is_null() | (lengths != width)).arg_true()
    if not width or len(other):
        row = int(other[0]) if len(other) else 0
        wanted = f"a vector of {width} numbers" if width else "a vector of numbers"
        piece.refuse(vectors.name, f"{wanted} is wanted, got {lengths[row] or 'none'}", row)
    return vectors.explode(), width


def _parsed(piece: Piece, values: pl.Series, width: int) -> pl.Series:
    if values.dtype == pl.String:
        return _parsed_text(piece, values, width)
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        piece.refuse(values.name, f"numbers are wanted, it holds {_kind(values.dtype)}")
    return values.cast(pl.Float64)


def _parsed_text(piece: Piece, texts: pl.Series, width: int) -> pl.Series:
    texts = texts.str.strip_chars()
    parsed = texts.cast(pl.Float64, strict=False)
    if parsed.null_count() > texts.null_count():
        words = texts.str.to_lowercase()
        truths = words.replace_strict({"true": 1.0, "false": 0.0}, default=None)
        parsed = parsed.fill_null(truths.cast(pl.Float64))
        wrong = (parsed.is_null() & (texts.fill_null("") != "")).arg_true()
        if len(wrong):
            row = int(wrong[0])
            piece.refuse(texts.name, f"{_short(texts[row])} is not a number", row // width)
    return parsed


def texts(piece: Piece, column: str) -> list[str]:
    """The n texts of a column, empty where there is none.

    Raises
    ------
    LogError
        If the column does not hold text.
    """
    values = piece.frame[column]
    if values.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        piece.refuse(column, f"text is wanted, it holds {_kind(values.dtype)}")
    return values.cast(pl.String).fill_null("").to_list()


def used(
    piece: Piece, column: str, separator: str | None, names: pl.Categorical | pl.Enum
) -> tuple[Ints, npt.NDArray[np.int32]]:
    """(n,) how many actions each round used, and (n_uses,) the codes of their names, in order.

    Integers, texts of several ids between separators, or lists of either. An empty id is none, and
    so is -1, which stands for an empty slot.

    Raises
    ------
    LogError
        If the column holds something else, or a name that an enumeration of names does not have.
    """
    values = piece.frame[column]
    if isinstance(values.dtype, pl.Array):
        values = values.arr.to_list()
    inner = values.dtype.inner if isinstance(values.dtype, pl.List) else values.dtype
    if not (inner in (pl.String, pl.Categorical, pl.Enum, pl.Null) or inner.is_integer()):
        kind = _kind(values.dtype)
        piece.refuse(column, f"integers, text, or lists of them are wanted, it holds {kind}")
    if isinstance(values.dtype, pl.List):
        lists = values.cast(pl.List(pl.String))
    elif separator is not None and not inner.is_integer():
        _doubt(piece, values, separator)
        lists = values.cast(pl.String).str.split(separator)
    else:
        lists = values.cast(pl.String)
    uses = pl.DataFrame({"round": pl.int_range(len(lists), eager=True), "name": lists})
    if isinstance(lists.dtype, pl.List):
        uses = uses.explode("name")
    if not isinstance(values.dtype, pl.List):
        uses = uses.with_columns(pl.col("name").str.strip_chars())
    uses = uses.filter(~pl.col("name").is_in(["", NONE]))
    codes = uses["name"].cast(names, strict=False)
    if codes.null_count():
        place = int(codes.is_null().arg_true()[0])
        row, name = int(uses["round"][place]), _short(uses["name"][place])
        piece.refuse(column, f"{name} is not an action of the catalogue", row)
    counts = np.bincount(uses["round"].to_numpy(), minlength=len(lists))
    return counts, codes.to_physical().cast(pl.Int32).to_numpy()


def _doubt(piece: Piece, values: pl.Series, separator: str) -> None:
    """Refuse texts that are lists of another kind than ids between separators."""
    texts = values.cast(pl.String).str.strip_chars()
    listed = (texts.str.starts_with("[") & texts.str.ends_with("]")).arg_true()
    if len(listed):
        row = int(listed[0])
        piece.refuse(
            values.name,
            f"{_short(texts[row])} looks like a list: write the ids with {separator!r} between "
            "them, or, if that is one id, set separator: null",
            row,
        )
    if piece.start == 0 and separator != ",":
        commas = texts.str.contains(",", literal=True).sum() or 0
        if 2 * commas > len(texts) and not texts.str.contains(separator, literal=True).any():
            _log.warning(
                "%s, column %r: commas are taken for parts of ids; if they are between ids, set "
                "separator: ','",
                piece.path,
                values.name,
            )


def _kind(dtype: pl.DataType) -> str:
    """What a data type is called."""
    if isinstance(dtype, pl.List | pl.Array):
        return f"lists of {_kind(dtype.inner)}"  # type: ignore[arg-type]
    if dtype == pl.String:
        return "text"
    if dtype.is_integer():
        return "integers"
    return "fractions" if dtype.is_float() else str(dtype.base_type()).lower()


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
