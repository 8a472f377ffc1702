"""Training at every size of base, rank and step, as users run it, beside its peers. Measured at one rank, and right or
not: `bench.train`."""
