"""A trained run as a server: OpenAI's chat API for programs, and a page for people.

How answers are computed, looked up and marked does not belong here; nothing but the command line imports this package.
"""
