"""Adds the lines of new files to a finished data set, which is read only where the new lines touch it.

The steps of a preparation are one level higher; here is what an append does besides, or in their place.
"""
