"""A real catalogue of tools, real requests for them, and simulated exposure to them.

:mod:`~sparseact.catalogue.read` reads the files of a benchmark of function calling,
:mod:`~sparseact.catalogue.texts` compares descriptions and requests,
:mod:`~sparseact.catalogue.exposure` shows sets of tools to an agent, and
:mod:`~sparseact.catalogue.worth` says what a part of the catalogue is worth.
"""
