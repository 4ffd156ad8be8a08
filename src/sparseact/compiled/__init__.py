"""What numba compiles, where NumPy and SciPy do not get there: it comes with ``sparseact[fast]``.

Each has a counterpart that is not compiled and is the reference for it.
"""

try:
    import numba  # noqa: F401  that it is there
except ImportError as missing:
    raise ImportError(
        f"compiled=True needs numba ({missing}): pip install 'sparseact[fast]'"
    ) from missing
