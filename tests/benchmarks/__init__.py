"""Speed and size, as `make bench` prints them; docs/benchmarks.md says what each means.

One module a benchmark; each gives `Figure`s, some of them with a bar that is met or
missed. Nothing here asserts, so that the same code runs small in the fast suite.
"""
