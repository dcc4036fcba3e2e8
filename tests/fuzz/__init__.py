"""`make fuzz`: looks for inputs that break a promise, for as long as it is left to.

Each fuzzer is a strategy of inputs and a check that fails for a broken promise. What
was found is kept in `var/fuzz`, and is what the next run of that fuzzer begins with.
"""
