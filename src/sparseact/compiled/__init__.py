"""What numba compiles, where NumPy and SciPy do not get there: it comes with ``sparseact[fast]``.

Each has a counterpart that is not compiled and is the reference for it.
"""
