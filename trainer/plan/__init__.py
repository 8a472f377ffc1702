"""Which record is trained when: pure functions of manifest, seed and epoch.

Nothing here reads shards.
"""
