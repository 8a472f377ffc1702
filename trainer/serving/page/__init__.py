"""The files of the page at `/`, as a browser gets them: no build step, and nothing from another address.

What the server answers them with does not belong here.
"""
