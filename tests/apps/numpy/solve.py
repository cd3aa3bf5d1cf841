"""Solves a system of linear equations: its solution is 0, 1, 2 and so on."""

import numpy

rng = numpy.random.default_rng(1)
matrix = rng.random((200, 200))
expected = numpy.arange(200.0)
found = numpy.linalg.solve(matrix, matrix @ expected)
print(numpy.__version__, bool(numpy.allclose(found, expected)))
