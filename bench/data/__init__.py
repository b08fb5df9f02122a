"""From files to training images: readers, subjects, parts, the decoded cache, simulated sets.

`bench.data.opening.open_data` builds or finds a cache; `bench.data.cache.load_cache` is all that a
trial needs (numpy only); `bench.data.description` describes one.
"""
