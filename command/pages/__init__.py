"""What HTML pages share: a template to a page in which every value is escaped, the theme, both languages in one page.

What a page says belongs to the package that makes it. Nothing here is imported by executors, which have no jinja2.
"""
